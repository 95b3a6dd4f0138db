import { statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../lib/files.ts";
import { jsonIfThere } from "../lib/read-if-there.ts";

/** What is written in each environment, as `environment.json`. The file's modification time is when it was last used. */
export interface BuiltEnvironment {
  readonly key: string;
  readonly pythonVersion: string;
  readonly lock: string;
  /** What a user should know about how it was built. */
  readonly warnings: readonly string[];
  /** ISO 8601. */
  readonly createdAt: string;
  /** The machine's boot that it was built in; empty where the machine does not say. */
  readonly boot: string;
}

export function writeRecord(folder: string, record: BuiltEnvironment): void {
  writeFileAtomic(recordFile(folder), `${JSON.stringify(record, null, 2)}\n`, 0o644);
}

/** Undefined when there is no whole environment at `folder`. */
export function readRecord(folder: string): BuiltEnvironment | undefined {
  return jsonIfThere<BuiltEnvironment>(recordFile(folder));
}

export function markUsed(folder: string, now: Date): void {
  utimesSync(recordFile(folder), now, now);
}

export function lastUsed(folder: string): Date {
  return statSync(recordFile(folder)).mtime;
}

function recordFile(folder: string): string {
  return join(folder, "environment.json");
}
