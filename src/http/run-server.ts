import { randomBytes } from "node:crypto";
import { join } from "node:path";

import { tryLock } from "../lib/process-lock.ts";
import type { ServerStatus } from "../operations/operations.ts";
import type { RunActions } from "../operations/run-actions.ts";
import { createApi } from "./server.ts";
import { removeServerFile, writeServerFile } from "./server-control.ts";

/** What a server looks after; made after it is sure to be the only one of its home folder. */
export interface ServerParts {
  readonly actions: RunActions;
  /** Takes up the services that an earlier server left; called once, before anything else. */
  readonly takeUp: () => Promise<void>;
  readonly ingress: () => Pick<ServerStatus, "ingress" | "ingressNote" | "ingressRunning">;
  /** Services that are taken up and neither ready yet nor have failed to be, as `NAMESPACE/STAGE`. */
  readonly comingBack: () => readonly string[];
  readonly listen: (address: string) => Promise<void>;
  /** Cancels every run, then ends every service, and the ingress. */
  readonly stopServices: () => Promise<void>;
  /** Lets go of the store and of what is started for this process only. */
  readonly close: () => Promise<void>;
}

export interface ServerOptions {
  readonly home: string;
  readonly version: string;
  readonly listen: string | undefined;
  readonly makeParts: () => Promise<ServerParts>;
  /** Aborts when the process is told to end by a signal. */
  readonly ended: AbortSignal;
}

/**
 * Is the server of a home folder until it is told to stop. Returns false, having done nothing, when the folder has one.
 * Runs that are being carried out are left as they are: their stages go on, and the next server goes on with them.
 */
export async function runServer({
  home,
  version,
  listen,
  makeParts,
  ended,
}: ServerOptions): Promise<boolean> {
  const lock = tryLock(join(home, "server.lock"));
  if (lock === undefined) return false;
  try {
    const token = randomBytes(32).toString("hex");
    writeServerFile(home, { pid: process.pid, version, api: undefined, token });
    const parts = await makeParts();
    const startedAt = new Date().toISOString();
    const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
    ended.addEventListener("abort", () => stop(), { once: true });
    if (ended.aborted) stop();
    let address = "";
    const api = createApi({
      actions: parts.actions,
      token,
      status: () => ({
        running: true,
        pid: process.pid,
        version,
        home,
        api: address,
        startedAt,
        ...parts.ingress(),
        comingBack: parts.comingBack(),
      }),
      listen: parts.listen,
      async stop({ services }) {
        if (services) await parts.stopServices();
        setImmediate(stop); // The answer goes out first.
      },
    });
    await parts.takeUp();
    if (listen !== undefined) await parts.listen(listen);
    parts.actions.resume();
    address = await api.listen({ host: "127.0.0.1", port: 0 });
    writeServerFile(home, { pid: process.pid, version, api: address, token });
    await stopped;
    removeServerFile(home);
    await api.close();
    await parts.close();
    return true;
  } finally {
    removeServerFile(home);
    lock.release();
  }
}
