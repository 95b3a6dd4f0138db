import { constants, copyFileSync, existsSync, linkSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";

import { Failure } from "../core/failure.ts";
import { type Copy, createCopy, takeLogIn } from "./copy.ts";
import { damageOf, makePrivateFile, refuseNewer, versionOf } from "./database.ts";
import { migrations } from "./migrations.ts";
import { guarded, isDiskFull } from "./store-failure.ts";
import { sync } from "./sync.ts";

/**
 * Puts a backup in the store's place; nobody may have the store open for writing. The present one is kept as
 * `FILE.replaced-TIME`, which is returned; undefined when there was none. Killed at any moment, there is the store as it
 * was, or the new one. Fails: not-found, store-damaged or version-mismatch (of the backup), disk-full.
 */
export function restoreStore(file: string, backup: string, now: Date): string | undefined {
  if (!existsSync(backup)) throw new Failure("not-found", `Cannot restore ${backup}: there is no such file.`);
  const copy = createCopy(file);
  try {
    return guarded(file, () => {
      copyBackup(backup, copy);
      const aside = keepPresent(file, now);
      copy.publish();
      return aside;
    });
  } catch (error) {
    copy.discard();
    throw error;
  }
}

/** With its log, which is there when somebody copied the files of a store that was in use. */
function copyBackup(backup: string, copy: Copy): void {
  for (const suffix of ["", "-wal"]) {
    if (!existsSync(backup + suffix)) continue;
    makePrivateFile(copy.path + suffix);
    copyFileSync(backup + suffix, copy.path + suffix, constants.COPYFILE_FICLONE);
  }
  try {
    copy.settle((copied) => checkBackup(copied, backup));
  } catch (error) {
    if (error instanceof Failure || isDiskFull(error)) throw error;
    throw unusableBackup(backup, (error as Error).message);
  }
}

function checkBackup(copied: DatabaseSync, backup: string): void {
  const damage = damageOf(copied);
  if (damage !== undefined) throw unusableBackup(backup, damage);
  const version = versionOf(copied);
  if (version === 0) throw unusableBackup(backup, "there is nothing in it");
  refuseNewer(version, migrations.length, backup);
}

function unusableBackup(backup: string, found: string): Failure {
  return new Failure("store-damaged", `Cannot restore ${backup}: it is no backup, or damaged (${found}).`, {
    hint: "The present store is as it was. Try another backup.",
  });
}

/**
 * By a second name for the file, so that there is a store at any moment. Its log must be gone before another file takes
 * its place: SQLite would write it into that one.
 */
function keepPresent(file: string, now: Date): string | undefined {
  const aside = existsSync(file) ? `${file}.replaced-${now.toISOString().replace(/[-:.]/g, "")}` : undefined;
  if (aside !== undefined) {
    try {
      takeLogIn(file);
    } catch {
      // A damaged store keeps its log beside it.
    }
    for (const suffix of ["", "-wal"]) {
      if (existsSync(file + suffix)) linkSync(file + suffix, aside + suffix);
    }
    sync(dirname(file), "r");
  }
  for (const suffix of ["-wal", "-shm"]) rmSync(file + suffix, { force: true });
  return aside;
}
