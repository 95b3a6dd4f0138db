import { closeSync, existsSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { Failure } from "../core/failure.ts";
import { guarded, unusable } from "./store-failure.ts";
import { sync } from "./sync.ts";

/** Opens the file, checks it, and hands it on; closes it when that fails. Fails: store-damaged, disk-full. */
export function withDatabase<Result>(
  file: string,
  { readOnly }: { readonly readOnly: boolean },
  use: (database: DatabaseSync) => Result,
): Result {
  return guarded(file, () => {
    if (!readOnly) makePrivateFile(file);
    const isSuspect = !readOnly && deservesCheck(file);
    const database = new DatabaseSync(file, { readOnly, timeout: 5000 });
    try {
      const damage = isSuspect ? damageOf(database) : undefined;
      if (damage !== undefined) throw unusable(file, `it is damaged (${damage})`);
      return use(database);
    } catch (error) {
      database.close();
      throw error;
    }
  });
}

/** When it is not there yet: SQLite would make it readable for all, and leave its name to chance. */
export function makePrivateFile(file: string): void {
  if (existsSync(file)) return;
  closeSync(openSync(file, "a", 0o600));
  sync(dirname(file), "r");
}

/**
 * Reading every page takes a second for a gigabyte. A big store is only checked when its last writer was killed (SQLite
 * then finds a log of its); what is damaged elsewhere is told when it is read.
 */
function deservesCheck(file: string): boolean {
  const bytes = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return bytes(`${file}-wal`) > 0 || bytes(file) < 64 * 1024 * 1024;
}

/** What is wrong with the pages, in SQLite's words; undefined when nothing is. */
export function damageOf(database: DatabaseSync): string | undefined {
  const { quick_check: found } = database.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
  return found === "ok" ? undefined : found;
}

/** The number of migrations that were done; 0 for a file with nothing in it. */
export function versionOf(database: DatabaseSync): number {
  return (database.prepare("PRAGMA user_version").get() as { user_version: number }).user_version;
}

/** Fails: version-mismatch. */
export function refuseNewer(version: number, known: number, file: string): void {
  if (version <= known) return;
  throw new Failure(
    "version-mismatch",
    `Cannot use the store ${file}: it is of version ${version}, and this Bodywork knows versions up to ${known}.`,
    { hint: "Use the newer Bodywork that wrote it." },
  );
}
