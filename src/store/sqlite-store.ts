import { DatabaseSync, type SQLInputValue } from "node:sqlite";

import { Failure } from "../core/failure.ts";
import {
  type Deployment,
  finishedRunStatuses,
  type Release,
  type Run,
  type RunEvent,
  type ServiceStatus,
} from "../core/run-state.ts";
import type { NewRunEvent, RunReader, RunStore } from "../ports/run-store.ts";
import { migrations } from "./migrations.ts";

/**
 * Opens the store for writing, makes or migrates it, and checks it. One process does this at a time (the server's lock
 * sees to it). WAL with synchronous=FULL: what a call has returned from survives a crash of the machine.
 * Fails: store-damaged, version-mismatch (a newer tool wrote it), disk-full.
 */
export function openStore(file: string): RunStore {
  const database = open(file, false);
  migrate(database, file);
  return createStore(database);
}

/** Opens the store for reading beside a writer; undefined when nothing was ever recorded. Fails like `openStore`. */
export function openReader(file: string): (RunReader & { close(): void }) | undefined {
  let database: DatabaseSync;
  try {
    database = open(file, true);
  } catch (error) {
    if (error instanceof Failure && error.code === "not-found") return undefined;
    throw error;
  }
  const version = versionOf(database);
  if (version === 0) {
    database.close();
    return undefined;
  }
  refuseNewer(version, file);
  return createStore(database);
}

function open(file: string, readOnly: boolean): DatabaseSync {
  try {
    const database = new DatabaseSync(file, { readOnly });
    database.exec("PRAGMA busy_timeout = 5000");
    if (!readOnly) {
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      const check = database.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
      if (check.quick_check !== "ok") throw new Error(check.quick_check);
    }
    return database;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    if (readOnly && text.includes("unable to open database file")) {
      throw new Failure("not-found", `There is no store at ${file}.`, { cause: error });
    }
    throw new Failure("store-damaged", `Cannot open the store ${file}: ${text}.`, {
      hint: "Services that run go on. Move the file away to start with an empty store, or put a backup in its place.",
      cause: error,
    });
  }
}

function versionOf(database: DatabaseSync): number {
  return (database.prepare("PRAGMA user_version").get() as { user_version: number }).user_version;
}

function refuseNewer(version: number, file: string): void {
  if (version <= migrations.length) return;
  throw new Failure(
    "version-mismatch",
    `Cannot use the store ${file}: it is of version ${version}, and this Bodywork knows versions up to ${migrations.length}.`,
    { hint: "Use the newer Bodywork that wrote it." },
  );
}

/** Each migration runs in one transaction with its version number: killed in the middle, it has not happened. */
function migrate(database: DatabaseSync, file: string): void {
  const from = versionOf(database);
  refuseNewer(from, file);
  for (const [index, sql] of migrations.entries()) {
    if (index < from) continue;
    database.exec(`BEGIN IMMEDIATE; ${sql}; PRAGMA user_version = ${index + 1}; COMMIT`);
  }
}

function createStore(database: DatabaseSync): RunStore {
  const statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
  const prepare = (sql: string) => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = database.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  const write = (sql: string, ...values: SQLInputValue[]): void => {
    guardWrite(() => prepare(sql).run(...values));
  };
  const one = <T>(sql: string, ...values: SQLInputValue[]): T | undefined => {
    const row = prepare(sql).get(...values) as { document: string } | undefined;
    return row === undefined ? undefined : (JSON.parse(row.document) as T);
  };
  const all = <T>(sql: string, ...values: SQLInputValue[]): T[] =>
    (prepare(sql).all(...values) as { document: string }[]).map((row) => JSON.parse(row.document) as T);
  const together = (work: () => void): void => {
    guardWrite(() => database.exec("BEGIN IMMEDIATE"));
    try {
      work();
      guardWrite(() => database.exec("COMMIT"));
    } catch (error) {
      database.exec("ROLLBACK");
      throw error;
    }
  };
  const idsOf = (sql: string, ...values: SQLInputValue[]): string[] =>
    (prepare(sql).all(...values) as { id: string }[]).map(({ id }) => id);
  const removeRuns = (ids: readonly string[]): void => {
    for (const id of ids) {
      write("DELETE FROM events WHERE run = ?", id);
      write("DELETE FROM runs WHERE id = ?", id);
    }
  };

  return {
    run: (id) => one<Run>("SELECT document FROM runs WHERE id = ?", id),
    runs: ({ deployment, namespace, limit }) =>
      all<Run>(
        `SELECT document FROM runs WHERE (?1 IS NULL OR deployment = ?1) AND (?2 IS NULL OR namespace = ?2)
         ORDER BY id DESC LIMIT ?3`,
        deployment ?? null,
        namespace ?? null,
        limit ?? -1,
      ),
    unfinishedRuns: () => all<Run>("SELECT document FROM runs WHERE finished = 0 ORDER BY id"),
    events: (runId, after) =>
      all<RunEvent>("SELECT document FROM events WHERE run = ? AND seq > ? ORDER BY seq", runId, after),
    deployments: () => all<Deployment>("SELECT document FROM deployments ORDER BY namespace, name"),
    deployment: (namespace, name) =>
      one<Deployment>("SELECT document FROM deployments WHERE namespace = ? AND name = ?", namespace, name),
    release: (namespace, deployment, number) =>
      one<Release>(
        "SELECT document FROM releases WHERE namespace = ? AND deployment = ? AND number = ?",
        namespace,
        deployment,
        number,
      ),
    releases: (namespace, deployment) =>
      all<Release>(
        "SELECT document FROM releases WHERE namespace = ? AND deployment = ? ORDER BY number DESC",
        namespace,
        deployment,
      ),
    services: () => all<ServiceStatus>("SELECT document FROM services ORDER BY namespace, stage"),

    saveRun: (run) =>
      write(
        `INSERT INTO runs (id, namespace, deployment, finished, document) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET namespace = excluded.namespace, deployment = excluded.deployment,
         finished = excluded.finished, document = excluded.document`,
        run.id,
        run.namespace ?? null,
        run.deployment ?? null,
        finishedRunStatuses.has(run.status) ? 1 : 0,
        JSON.stringify(run),
      ),
    addEvent: (runId, event: NewRunEvent, at) => {
      const row = prepare("SELECT coalesce(max(seq), 0) AS last FROM events WHERE run = ?").get(runId) as {
        last: number;
      };
      const stored = { ...event, seq: row.last + 1, at: at.toISOString() } as RunEvent;
      write(
        "INSERT INTO events (run, seq, document) VALUES (?, ?, ?)",
        runId,
        row.last + 1,
        JSON.stringify(stored),
      );
      return stored;
    },
    saveRelease: (release, deployment) =>
      together(() => {
        write(
          "INSERT OR REPLACE INTO releases (namespace, deployment, number, document) VALUES (?, ?, ?, ?)",
          release.namespace,
          release.deployment,
          release.number,
          JSON.stringify(release),
        );
        write(
          "INSERT OR REPLACE INTO deployments (namespace, name, document) VALUES (?, ?, ?)",
          deployment.namespace,
          deployment.name,
          JSON.stringify(deployment),
        );
      }),
    removeDeployment: (namespace, name) => {
      const runs = idsOf(
        "SELECT id FROM runs WHERE namespace = ? AND deployment = ? AND finished = 1",
        namespace,
        name,
      );
      together(() => {
        removeRuns(runs);
        write("DELETE FROM releases WHERE namespace = ? AND deployment = ?", namespace, name);
        write("DELETE FROM deployments WHERE namespace = ? AND name = ?", namespace, name);
      });
      return runs;
    },
    removeOldRuns: (keep) => {
      const old = idsOf(
        `SELECT id FROM (SELECT id, finished, row_number() OVER (PARTITION BY namespace, deployment ORDER BY id DESC) AS age
         FROM runs) WHERE age > ? AND finished = 1`,
        keep,
      );
      together(() => removeRuns(old));
      return old;
    },
    saveServiceStatus: (status) =>
      write(
        "INSERT OR REPLACE INTO services (namespace, stage, document) VALUES (?, ?, ?)",
        status.namespace,
        status.stage,
        JSON.stringify(status),
      ),
    removeServiceStatus: (namespace, stage) =>
      write("DELETE FROM services WHERE namespace = ? AND stage = ?", namespace, stage),
    document: <T>(collection: string, key: string) =>
      one<T>("SELECT document FROM documents WHERE collection = ? AND key = ?", collection, key),
    documents: <T>(collection: string) =>
      new Map(
        (
          prepare("SELECT key, document FROM documents WHERE collection = ? ORDER BY key").all(
            collection,
          ) as { key: string; document: string }[]
        ).map((row) => [row.key, JSON.parse(row.document) as T]),
      ),
    saveDocument: (collection, key, value) =>
      write(
        "INSERT OR REPLACE INTO documents (collection, key, document) VALUES (?, ?, ?)",
        collection,
        key,
        JSON.stringify(value),
      ),
    removeDocument: (collection, key) =>
      write("DELETE FROM documents WHERE collection = ? AND key = ?", collection, key),
    close: () => database.close(),
  };
}

/** SQLite's own words for a full disk, as a failure that says what to do. */
function guardWrite(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (error instanceof Error && error.message.includes("database or disk is full")) {
      throw new Failure("disk-full", "Cannot write to the store: the disk is full.", {
        hint: "Free some space; services go on meanwhile.",
        cause: error,
      });
    }
    throw error;
  }
}
