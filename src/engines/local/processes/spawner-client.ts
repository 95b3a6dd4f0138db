import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { forkModule } from "../../../lib/spawn-detached.ts";
import type { SpawnerOrder, SpawnerReport } from "./spawner.ts";

/** The small helper process that starts shims; another takes its place when it ends. */
export interface Spawner {
  /**
   * Starts a shim in `folder` and keeps the log there short. Rejects with SpawnerDied when nobody can say whether it was
   * started, with another error when it was not.
   */
  start(folder: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<StartedShim>;
  /** For what an earlier helper has started. */
  keepLog(folder: string): void;
  forgetLog(folder: string): void;
  close(): void;
}

export interface StartedShim {
  readonly pid: number;
  /** Settles when the shim has ended, and also when the helper has, which then can't tell any more. */
  readonly ended: Promise<void>;
}

export class SpawnerDied extends Error {}

/** Milliseconds before one that ended is replaced, when logs need it. */
const restartDelay = 1_000;

export function createSpawner(stateFolder: string, logCapBytes: number): Spawner {
  const program = fileURLToPath(new URL("./spawner.ts", import.meta.url));
  const waiting = new Map<number, PromiseWithResolvers<StartedShim>>();
  const running = new Map<number, () => void>();
  const logs = new Set<string>();
  let helper: ReturnType<typeof forkModule> | undefined;
  let nextId = 1;
  let closed = false;

  /** Our life hangs on the channel only while something is to come through it. */
  const holdOn = (): void => {
    if (waiting.size + running.size > 0) helper?.channel?.ref();
    else helper?.channel?.unref();
  };

  const onReport = (report: SpawnerReport): void => {
    take(report);
    holdOn();
  };

  const take = (report: SpawnerReport): void => {
    if (report.kind === "ended") {
      running.get(report.id)?.();
      running.delete(report.id);
      return;
    }
    const start = waiting.get(report.id);
    waiting.delete(report.id);
    if (report.kind === "failed") {
      start?.reject(new Error(report.reason));
      return;
    }
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    running.set(report.id, resolve);
    start?.resolve({ pid: report.pid, ended });
  };

  const onEnd = (): void => {
    helper = undefined;
    for (const start of waiting.values()) start.reject(new SpawnerDied("the helper process ended"));
    waiting.clear();
    for (const resolve of running.values()) resolve();
    running.clear();
    if (logs.size > 0 && !closed) setTimeout(ensure, restartDelay).unref();
  };

  const ensure = (): ReturnType<typeof forkModule> => {
    if (helper !== undefined) return helper;
    mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
    const started = forkModule(program, [stateFolder, String(logCapBytes)], {
      env: {},
      cwd: stateFolder,
      logFile: join(stateFolder, "spawner.log"),
      execArgv: ["--no-warnings"],
    });
    started.on("message", onReport);
    // Without a channel it can't be used, whether or not it still runs.
    started.once("disconnect", onEnd);
    started.once("error", onEnd);
    started.unref();
    started.channel?.unref();
    helper = started;
    for (const folder of logs) send({ kind: "keep-log", folder });
    return started;
  };

  /** An order that can't be sent finds the channel closed, and `onEnd` sees to the rest. */
  const send = (order: SpawnerOrder): void => {
    ensure().send(order, () => {});
  };

  ensure();
  return {
    start(folder, args, env) {
      const start = Promise.withResolvers<StartedShim>();
      const id = nextId++;
      waiting.set(id, start);
      logs.add(folder);
      send({ kind: "start", id, folder, args, env });
      holdOn();
      return start.promise;
    },
    keepLog(folder) {
      logs.add(folder);
      send({ kind: "keep-log", folder });
    },
    forgetLog(folder) {
      if (logs.delete(folder) && helper !== undefined) send({ kind: "forget-log", folder });
    },
    close() {
      closed = true;
      if (helper?.connected) helper.disconnect();
    },
  };
}
