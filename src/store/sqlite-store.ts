import { existsSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";

import type { Store, StoreReader } from "../ports/store.ts";
import { createAccessRows } from "./access-rows.ts";
import { backupStore } from "./backup.ts";
import { refuseNewer, versionOf, withDatabase } from "./database.ts";
import { createDeploymentRows } from "./deployment-rows.ts";
import { createDocumentRows } from "./document-rows.ts";
import { createJobRows } from "./job-rows.ts";
import { migrate } from "./migrate.ts";
import { migrations } from "./migrations.ts";
import { createRows } from "./rows.ts";
import { createRunRows } from "./run-rows.ts";
import { createSecretRows } from "./secret-rows.ts";

/**
 * Opens the store for writing, makes or migrates it, and checks it. One process does this at a time (the server's lock
 * sees to it). WAL with synchronous=FULL: what a call has returned from survives a crash of the machine.
 * Fails: store-damaged, version-mismatch (a newer tool wrote it), disk-full.
 */
export function openStore(file: string, schema: readonly string[] = migrations): Store {
  return withDatabase(file, { readOnly: false }, (database) => {
    refuseNewer(versionOf(database), schema.length, file);
    // What is deleted or replaced is written over: it may have been a secret, sealed with a key that others know by now.
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON");
    migrate(database, file, schema);
    return createStore(database, file);
  });
}

/** Opens the store for reading beside a writer; undefined when nothing was ever recorded. Fails like `openStore`. */
export function openReader(
  file: string,
  schema: readonly string[] = migrations,
): (StoreReader & { close(): void }) | undefined {
  if (!existsSync(file)) return undefined;
  return withDatabase(file, { readOnly: true }, (database) => {
    const version = versionOf(database);
    if (version > 0) {
      refuseNewer(version, schema.length, file);
      const store = createStore(database, file);
      return version === 1 ? { ...store, ...nothingInVersion1 } : store;
    }
    database.close();
    return undefined;
  });
}

function createStore(database: DatabaseSync, file: string): Store {
  const rows = createRows(database, file);
  const { dropRuns, ...runs } = createRunRows(rows);
  return {
    ...runs,
    ...createDeploymentRows(rows, dropRuns),
    ...createDocumentRows(rows),
    ...createJobRows(rows),
    ...createSecretRows(rows),
    ...createAccessRows(rows),
    backup: (target) => backupStore(file, target),
    close: () => database.close(),
  };
}

/** A store that no server of this version has opened yet is read as it is. */
const nothingInVersion1: Partial<StoreReader> = {
  cronjobs: () => [],
  cronjob: () => undefined,
  job: () => undefined,
  jobs: () => [],
  unfinishedJobs: () => [],
  secrets: () => [],
  tokens: () => [],
  auditEntries: () => [],
};
