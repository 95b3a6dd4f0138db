import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

import { writeFileAtomic } from "../../../lib/files.ts";
import { hasCode } from "../../../lib/has-code.ts";
import { jsonIfThere, textIfThere } from "../../../lib/read-if-there.ts";
import { isAlive, type ProcessIdentity, parseStat, processTable } from "./process-table.ts";

/**
 * What is kept of a process, in a folder of its own:
 *
 *   intent        that it is to be started; there before anything is spawned
 *   claim.TOKEN   made by whoever is first: the shim (its line of /proc/PID/stat), or one who gives this start up
 *   log           what the program writes to standard output and error
 *   exit          how it ended; made by the shim
 */
export interface Intent {
  /** In the environment of the process and all its children. */
  readonly nonce: string;
  /** Names one try to spawn; there is a second when the helper process was killed during the first. */
  readonly token: string;
  readonly boot: string;
  /** ISO time. */
  readonly at: string;
  /** Folder of the memory cgroup it runs in. */
  readonly memoryGroup?: string;
  readonly memoryLimitMb?: number;
}

/** How the shim saw the program end. */
export interface ExitRecord {
  readonly how: "exited" | "signalled";
  /** As a shell has it: 128 and the signal's number for a signal. */
  readonly status: number;
  /** Processes of its memory group that the kernel killed for want of memory. */
  readonly oomKills: number;
  /** Clock ticks since boot; 0 where it is not known. */
  readonly at: number;
}

export const logName = "log";

/** Rejects with EEXIST when there is an intent: a start is never doubled. */
export function writeIntent(folder: string, intent: Intent): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // No fsync: after a power cut nothing runs, and the boot tells so. A file cut short says that nothing was spawned yet.
  const file = openSync(join(folder, "intent"), "wx", 0o600);
  try {
    writeSync(file, JSON.stringify(intent));
  } finally {
    closeSync(file);
  }
}

export function replaceIntent(folder: string, intent: Intent): void {
  writeFileAtomic(join(folder, "intent"), JSON.stringify(intent));
}

export function removeIntent(folder: string): void {
  rmSync(join(folder, "intent"), { force: true });
}

export function readIntent(folder: string): Intent | undefined {
  return jsonIfThere<Intent>(join(folder, "intent"));
}

export function claimFile(folder: string, { token }: Pick<Intent, "token">): string {
  return join(folder, `claim.${token}`);
}

/** True when nothing was run under this intent, and nothing ever will be: a shim that comes late ends at once. */
export function giveUp(folder: string, intent: Intent): boolean {
  try {
    closeSync(openSync(claimFile(folder, intent), "wx", 0o600));
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw error;
  }
}

/**
 * The shim that took the intent up. `unsure`: the file has no content, because somebody gave this start up, or because
 * the shim is just writing it, or was killed as it did.
 */
export function readClaim(folder: string, intent: Intent): ProcessIdentity | "none" | "unsure" {
  const text = textIfThere(claimFile(folder, intent));
  if (text === undefined) return "none";
  if (!text.endsWith("\n")) return "unsure";
  const stat = parseStat(text);
  if (stat !== undefined) return { pid: stat.pid, started: stat.started };
  // Without /proc a shim knows its process id alone.
  const pid = Number.parseInt(text, 10);
  return { pid, started: processTable.find(pid)?.started ?? "" };
}

export function readExit(folder: string): ExitRecord | undefined {
  const [, how, status, oomKills, uptime] =
    textIfThere(join(folder, "exit"))?.match(/^(exited|signalled) (\d+) (\d+) ([\d.]+) \.\n$/) ?? [];
  if (how === undefined) return undefined;
  return {
    how: how as ExitRecord["how"],
    status: Number(status),
    oomKills: Number(oomKills),
    at: Number(uptime) * 100,
  };
}

/** Whether what was started there runs now, told from its files. */
export function processLives(folder: string): boolean {
  const intent = readIntent(folder);
  if (intent === undefined || intent.boot !== processTable.boot) return false;
  const shim = readClaim(folder, intent);
  return typeof shim === "object" && isAlive(shim, intent.nonce) && readExit(folder) === undefined;
}
