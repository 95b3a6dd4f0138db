import { randomBytes } from "node:crypto";
import { renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { sync } from "./sync.ts";

/** A copy of a store that is to bear the name `target`, whole or not at all. */
export interface Copy {
  /** Where it is made, beside the target. */
  readonly path: string;
  /** Takes its log into the file, has it checked, and sees to it that it is on the disk. */
  settle(check: (copied: DatabaseSync) => void): void;
  publish(): void;
  discard(): void;
}

export function createCopy(target: string): Copy {
  const folder = dirname(target);
  const path = join(folder, `.${basename(target)}.${randomBytes(6).toString("hex")}.tmp`);
  return {
    path,
    settle(check) {
      takeLogIn(path, check);
      sync(path, "r+");
    },
    publish() {
      renameSync(path, target);
      sync(folder, "r");
    },
    discard() {
      for (const suffix of ["", "-journal", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    },
  };
}

/** Makes one file of a store and its log, which nobody has open. Throws when it is damaged. */
export function takeLogIn(file: string, check: (database: DatabaseSync) => void = () => {}): void {
  const database = new DatabaseSync(file, { timeout: 5000 });
  try {
    database.exec("PRAGMA journal_mode = DELETE");
    check(database);
  } finally {
    database.close();
  }
}
