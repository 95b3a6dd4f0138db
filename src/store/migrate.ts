import type { DatabaseSync } from "node:sqlite";

import { backupBeforeMigration } from "./backup.ts";
import { versionOf } from "./database.ts";

/**
 * Each migration runs in one transaction with its version number: killed in the middle, it has not happened. A store
 * that has been written before is first copied to `FILE.before-vN`, which is the way back.
 */
export function migrate(database: DatabaseSync, file: string, schema: readonly string[]): void {
  const from = versionOf(database);
  if (from > 0 && from < schema.length) backupBeforeMigration(database, file, schema.length);
  for (const [index, sql] of schema.entries()) {
    if (index < from) continue;
    database.exec(`BEGIN IMMEDIATE; ${sql}; PRAGMA user_version = ${index + 1}; COMMIT`);
  }
}
