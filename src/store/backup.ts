import { readdirSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { backup, DatabaseSync } from "node:sqlite";

import { Failure } from "../core/failure.ts";
import { createCopy } from "./copy.ts";
import { damageOf, makePrivateFile } from "./database.ts";
import { isDiskFull, unusable } from "./store-failure.ts";

/** The most that SQLite can be asked for. */
const allPages = 2 ** 31 - 1;

/** Copies made before migrations, of which so many stay. */
const keptBeforeMigrations = 3;

/** As `Store.backup`: 0600, one file. Fails: disk-full, usage (it can't be written there), store-damaged. */
export async function backupStore(file: string, target: string): Promise<void> {
  if (isPartOf(file, target)) {
    throw new Failure("usage", `Cannot write the backup ${target}: that is the store itself.`);
  }
  const copy = createCopy(target);
  try {
    makePrivateFile(copy.path);
    await copyInOneStep(file, copy.path);
    copy.settle((copied) => refuseDamage(copied, file));
    copy.publish();
  } catch (error) {
    copy.discard();
    throw backupFailure(target, error);
  }
}

/** To `FILE.before-vN`, where N is the version that the migration leads to. Fails like `backupStore`. */
export function backupBeforeMigration(database: DatabaseSync, file: string, version: number): void {
  const target = `${file}.before-v${version}`;
  const copy = createCopy(target);
  try {
    makePrivateFile(copy.path);
    database.prepare("VACUUM INTO ?").run(copy.path);
    copy.settle((copied) => refuseDamage(copied, file));
    copy.publish();
  } catch (error) {
    copy.discard();
    throw backupFailure(target, error);
  }
  for (const old of backupsBeforeMigrations(file).slice(keptBeforeMigrations)) rmSync(old, { force: true });
}

/**
 * Over a connection of its own, and all pages at once, in another thread: the writer goes on meanwhile, and what it writes
 * neither gets into the copy nor makes it begin anew.
 */
async function copyInOneStep(file: string, target: string): Promise<void> {
  const reader = new DatabaseSync(file, { readOnly: true, timeout: 5000 });
  try {
    await backup(reader, target, { rate: allPages });
  } finally {
    reader.close();
  }
}

function isPartOf(file: string, target: string): boolean {
  const there = statSync(target, { throwIfNoEntry: false });
  return [file, `${file}-wal`, `${file}-shm`].some((part) => {
    const own = statSync(part, { throwIfNoEntry: false });
    return own !== undefined && own.ino === there?.ino && own.dev === there.dev;
  });
}

function refuseDamage(copied: DatabaseSync, file: string): void {
  const damage = damageOf(copied);
  if (damage !== undefined) throw unusable(file, `it is damaged (${damage})`);
}

function backupFailure(target: string, error: unknown): unknown {
  if (isDiskFull(error)) {
    return new Failure("disk-full", `Cannot write the backup ${target}: the disk is full.`, {
      hint: "Free some space, or choose another place for it.",
      cause: error,
    });
  }
  const isOfFile = error instanceof Error && "syscall" in error;
  if (!isOfFile) return error;
  return new Failure("usage", `Cannot write the backup ${target}: ${error.message}.`, { cause: error });
}

/** Newest first. */
function backupsBeforeMigrations(file: string): readonly string[] {
  const prefix = `${basename(file)}.before-v`;
  const versionIn = (name: string): number => Number(name.slice(prefix.length));
  return readdirSync(dirname(file))
    .filter((name) => name.startsWith(prefix) && Number.isInteger(versionIn(name)))
    .sort((a, b) => versionIn(b) - versionIn(a))
    .map((name) => join(dirname(file), name));
}
