import { randomBytes } from "node:crypto";
import { join } from "node:path";

import type { ApiSettings } from "../core/settings.ts";
import { tryLock } from "../lib/process-lock.ts";
import type { Operations, ServerStatus } from "../operations/operations.ts";
import type { ServerAdmin } from "../operations/server-admin.ts";
import type { AccessStore } from "../ports/access-store.ts";
import { checkApiSettings, hostsOf, openPublicListener } from "./public-listener.ts";
import { removeServerFile, writeServerFile } from "./server-control.ts";

/** What a server looks after; made after it is sure to be the only one of its home folder. */
export interface ServerParts {
  readonly operations: Operations;
  readonly admin: ServerAdmin;
  readonly access: AccessStore;
  /** How other machines reach it. */
  readonly api: ApiSettings;
  /** Takes up the services that an earlier server left; called once, before anything else. */
  readonly takeUp: () => Promise<void>;
  /** Goes on with runs, jobs and due times; called once, when services are taken up. */
  readonly resume: () => void;
  readonly ingress: () => Pick<ServerStatus, "ingress" | "ingressNote" | "ingressRunning">;
  /** Services that are taken up and neither ready yet nor have failed to be, as `NAMESPACE/STAGE`. */
  readonly comingBack: () => readonly string[];
  /** As of `HealthParts`. */
  readonly readiness: () => readonly string[];
  readonly metrics?: (() => Promise<string>) | undefined;
  /** As of `ApiParts`. */
  readonly fault: (doing: string, error: unknown) => void;
  readonly listen: (address: string) => Promise<void>;
  /** Cancels every run, then ends every service, and the ingress. */
  readonly stopServices: () => Promise<void>;
  /** Lets go of the store and of what is started for this process only. */
  readonly close: () => Promise<void>;
}

export interface ServerOptions {
  readonly home: string;
  readonly version: string;
  /** Public address of the ingress. */
  readonly listen: string | undefined;
  readonly makeParts: () => Promise<ServerParts>;
  /** Aborts when the process is told to end by a signal. */
  readonly ended: AbortSignal;
  /** Into the server's log. */
  readonly report: (text: string) => void;
}

/**
 * Is the server of a home folder until it is told to stop. Returns false, having done nothing, when the folder has one.
 * Runs that are being carried out are left as they are: their stages go on, and the next server goes on with them.
 */
export async function runServer(options: ServerOptions): Promise<boolean> {
  const lock = tryLock(join(options.home, "server.lock"));
  if (lock === undefined) return false;
  try {
    await serveUntilStopped(options);
    return true;
  } finally {
    removeServerFile(options.home);
    lock.release();
  }
}

async function serveUntilStopped(options: ServerOptions): Promise<void> {
  const { home, version, ended, report } = options;
  const token = randomBytes(32).toString("hex");
  writeServerFile(home, { pid: process.pid, version, api: undefined, token });
  const parts = await options.makeParts();
  checkApiSettings(parts.api);
  const startedAt = new Date().toISOString();
  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
  ended.addEventListener("abort", () => stop(), { once: true });
  if (ended.aborted) stop();
  let starting = true;
  let address = "";
  let publicAddress: string | undefined;
  // Only now: who gives way to another server does so at once.
  const { createApi } = await import("./server.ts");
  const { app } = await createApi({
    ...parts,
    version,
    report,
    localToken: token,
    hosts: hostsOf(parts.api),
    now: () => new Date(),
    starting: () => starting,
    status: () => ({
      running: true,
      pid: process.pid,
      version,
      home,
      api: address,
      ...(publicAddress === undefined ? {} : { publicApi: publicAddress }),
      startedAt,
      ...parts.ingress(),
      comingBack: parts.comingBack(),
    }),
    async stop({ services }) {
      if (services) await parts.stopServices();
      setImmediate(stop); // The answer goes out first.
    },
  });
  // Before anything is taken up: whoever watches the server learns that it starts, and no port is found taken too late.
  const others = await openPublicListener({ settings: parts.api, home, answer: app.routing, report });
  publicAddress = others?.address;
  await parts.takeUp();
  if (options.listen !== undefined) await parts.listen(options.listen);
  parts.resume();
  starting = false;
  address = await app.listen({ host: "127.0.0.1", port: 0 });
  writeServerFile(home, { pid: process.pid, version, api: address, token });
  await stopped;
  removeServerFile(home);
  others?.close();
  await app.close();
  await parts.close();
}
