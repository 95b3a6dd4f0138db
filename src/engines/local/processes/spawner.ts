/**
 * A program of its own: starts shims for the server, in whose place a spawn would take long, for it is big. Tells the
 * server when a shim ends, and keeps the logs from growing without end. Ends with the server, unless processes still
 * run: then it goes on keeping their logs until the last has ended, or another server has started its own helper.
 *
 *   node spawner.ts FOLDER LOG-CAP-BYTES
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { textIfThere } from "../../../lib/read-if-there.ts";
import { spawnWatched } from "../../../lib/spawn-detached.ts";
import { capLog } from "./cap-log.ts";
import { logName, processLives } from "./process-folder.ts";

/** From the server. */
export type SpawnerOrder =
  /** `folder` is the shim's working folder, and where the log is. */
  | {
      readonly kind: "start";
      readonly id: number;
      readonly folder: string;
      readonly args: readonly string[];
      readonly env: Readonly<Record<string, string>>;
    }
  | { readonly kind: "keep-log" | "forget-log"; readonly folder: string };

/** To the server. */
export type SpawnerReport =
  | { readonly kind: "started"; readonly id: number; readonly pid: number }
  | { readonly kind: "failed"; readonly id: number; readonly reason: string }
  | { readonly kind: "ended"; readonly id: number };

/** Milliseconds between two looks at the logs: what a program can write in that time may lie above the cap. */
const lookPeriod = 200;

const [, , stateFolder = ".", capText = ""] = process.argv;
const ownerFile = join(stateFolder, "spawner.pid");
/** Folders of the processes whose logs are kept. */
const folders = new Set<string>();

writeFileSync(ownerFile, String(process.pid), { mode: 0o600 });
process.on("message", (order: SpawnerOrder) => {
  if (order.kind === "start") void start(order);
  else if (order.kind === "keep-log") folders.add(order.folder);
  else folders.delete(order.folder);
});
process.on("disconnect", () => void goOnAlone());
// A terminal's Ctrl-C is for the server, which says what becomes of us.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
setInterval(() => void capLogs(), lookPeriod).unref();

async function start({ id, folder, args, env }: Extract<SpawnerOrder, { kind: "start" }>): Promise<void> {
  try {
    const pid = await spawnWatched({ file: "/bin/sh", args, env, cwd: folder }, () => void end(id, folder));
    folders.add(folder);
    report({ kind: "started", id, pid });
  } catch (error) {
    report({ kind: "failed", id, reason: error instanceof Error ? error.message : String(error) });
  }
}

async function end(id: number, folder: string): Promise<void> {
  folders.delete(folder);
  await capOf(folder);
  report({ kind: "ended", id });
}

/** A server that is gone hears nothing, and finds all of it in the process's folder later. */
function report(message: SpawnerReport): void {
  if (process.connected) process.send?.(message, undefined, {}, () => {});
}

let capping = false;

async function capLogs(): Promise<void> {
  if (capping) return;
  capping = true;
  for (const folder of folders) await capOf(folder);
  capping = false;
}

async function capOf(folder: string): Promise<void> {
  // The disk may be full, the folder gone: the next look will tell.
  await capLog(join(folder, logName), Number(capText)).catch(() => {});
}

async function goOnAlone(): Promise<never> {
  for (;;) {
    for (const folder of folders) {
      if (!processLives(folder)) folders.delete(folder);
    }
    if (folders.size === 0 || !isOwner()) process.exit();
    await sleep(lookPeriod);
  }
}

/** False once another helper has taken over. */
function isOwner(): boolean {
  return textIfThere(ownerFile) === String(process.pid);
}
