import { constants, copyFileSync, existsSync, linkSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { Failure } from "../core/failure.ts";
import { type Copy, createCopy, takeLogIn } from "./copy.ts";
import { damageOf, makePrivateFile, refuseNewer, versionOf } from "./database.ts";
import { keyIdsIn } from "./key-ids.ts";
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

/**
 * The master keys, by id, that the secrets of a backup are sealed with; needs the folder of the store, and changes nothing
 * in it. Fails as `restoreStore` does.
 */
export function keyIdsOfBackup(file: string, backup: string): ReadonlySet<string> {
  if (!existsSync(backup)) throw new Failure("not-found", `Cannot restore ${backup}: there is no such file.`);
  const copy = createCopy(file);
  let found: ReadonlySet<string> = new Set();
  try {
    guarded(file, () =>
      copyBackup(backup, copy, (copied) => {
        found = keyIdsIn(copied);
      }),
    );
  } finally {
    copy.discard();
  }
  return found;
}

/** With its log, which is there when somebody copied the files of a store that was in use. */
function copyBackup(backup: string, copy: Copy, look: (copied: DatabaseSync) => void = () => {}): void {
  for (const suffix of ["", "-wal"]) {
    if (!existsSync(backup + suffix)) continue;
    makePrivateFile(copy.path + suffix);
    copyFileSync(backup + suffix, copy.path + suffix, constants.COPYFILE_FICLONE);
  }
  try {
    copy.settle((copied) => {
      checkBackup(copied, backup);
      look(copied);
    });
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
  // A trigger or a view runs what its author wants, in the server that opens the store.
  const other = firstDifference(schemaOf(copied), schemaOfVersion(version));
  if (other !== undefined)
    throw unusableBackup(backup, `${other} is not as in version ${version} of the store`);
}

function schemaOf(database: DatabaseSync): ReadonlyMap<string, string> {
  const rows = database.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").all();
  return new Map(rows.map(({ type, name, sql }) => [`${type} ${name}`, String(sql)]));
}

function schemaOfVersion(version: number): ReadonlyMap<string, string> {
  const database = new DatabaseSync(":memory:");
  try {
    for (const sql of migrations.slice(0, version)) database.exec(sql);
    return schemaOf(database);
  } finally {
    database.close();
  }
}

/** What one has and the other has not, or has in another form. */
function firstDifference(
  one: ReadonlyMap<string, string>,
  other: ReadonlyMap<string, string>,
): string | undefined {
  return [...one.keys(), ...other.keys()].find((key) => one.get(key) !== other.get(key));
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
