import { closeSync, existsSync, openSync, statSync } from "node:fs";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";

import { Failure } from "../core/failure.ts";
import {
  type Deployment,
  finishedRunStatuses,
  type Release,
  type Run,
  type RunEvent,
  type ServiceStatus,
  type StageRun,
} from "../core/run-state.ts";
import type { NewRunEvent, RunReader, RunStore } from "../ports/run-store.ts";
import { migrations } from "./migrations.ts";

/**
 * Opens the store for writing, makes or migrates it, and checks it. One process does this at a time (the server's lock
 * sees to it). WAL with synchronous=FULL: what a call has returned from survives a crash of the machine.
 * Fails: store-damaged, version-mismatch (a newer tool wrote it), disk-full.
 */
export function openStore(file: string): RunStore {
  return opened(file, { readOnly: false }, (database) => {
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    migrate(database, file);
    return createStore(database, file);
  });
}

/** Opens the store for reading beside a writer; undefined when nothing was ever recorded. Fails like `openStore`. */
export function openReader(file: string): (RunReader & { close(): void }) | undefined {
  if (!existsSync(file)) return undefined;
  return opened(file, { readOnly: true }, (database) => {
    const version = versionOf(database);
    if (version > 0) {
      refuseNewer(version, file);
      return createStore(database, file);
    }
    database.close();
    return undefined;
  });
}

function opened<Result>(
  file: string,
  { readOnly }: { readonly readOnly: boolean },
  use: (database: DatabaseSync) => Result,
): Result {
  return guarded(file, () => {
    if (!readOnly) closeSync(openSync(file, "a", 0o600)); // SQLite would make it readable for all.
    const isSuspect = !readOnly && deservesCheck(file);
    const database = new DatabaseSync(file, { readOnly, timeout: 5000 });
    try {
      if (isSuspect) check(database, file);
      return use(database);
    } catch (error) {
      database.close();
      throw error;
    }
  });
}

/**
 * Reading every page takes a second for a gigabyte. A big store is only checked when its last writer was killed (SQLite
 * then finds a log of its); what is damaged elsewhere is told when it is read.
 */
function deservesCheck(file: string): boolean {
  const bytes = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return bytes(`${file}-wal`) > 0 || bytes(file) < 64 * 1024 * 1024;
}

function check(database: DatabaseSync, file: string): void {
  const { quick_check: found } = database.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
  if (found !== "ok") throw unusable(file, `it is damaged (${found})`);
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

function createStore(database: DatabaseSync, file: string): RunStore {
  const statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
  const prepare = (sql: string) => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = database.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  const write = (sql: string, ...values: SQLInputValue[]): void => {
    guarded(file, () => prepare(sql).run(...values));
  };
  const rows = <T>(sql: string, ...values: SQLInputValue[]): T[] =>
    guarded(file, () => prepare(sql).all(...values) as T[]);
  const read = <T>(row: { readonly document: string }): T =>
    guarded(file, () => JSON.parse(row.document) as T);
  const one = <T>(sql: string, ...values: SQLInputValue[]): T | undefined => {
    const [row] = rows<{ document: string }>(sql, ...values);
    return row === undefined ? undefined : read<T>(row);
  };
  const all = <T>(sql: string, ...values: SQLInputValue[]): T[] =>
    rows<{ document: string }>(sql, ...values).map((row) => read<T>(row));
  const together = (work: () => void): void =>
    guarded(file, () => {
      database.exec("BEGIN IMMEDIATE");
      try {
        work();
        database.exec("COMMIT");
      } catch (error) {
        // A full disk ends some transactions by itself.
        if (database.isTransaction) database.exec("ROLLBACK");
        throw error;
      }
    });
  const idsOf = (sql: string, ...values: SQLInputValue[]): string[] =>
    rows<{ id: string }>(sql, ...values).map(({ id }) => id);
  const removeRuns = (ids: readonly string[]): void => {
    for (const id of ids) {
      write("DELETE FROM events WHERE run = ?", id);
      write("DELETE FROM stages WHERE run = ?", id);
      write("DELETE FROM runs WHERE id = ?", id);
    }
  };

  const readRuns = (where: string, ...values: SQLInputValue[]): Run[] =>
    rows<{ document: string; stages: string }>(`${selectRuns} ${where}`, ...values).map(
      ({ document, stages }) => ({
        ...read<Run>({ document }),
        stages: read<string[]>({ document: stages }).map((stage) => read<StageRun>({ document: stage })),
      }),
    );
  /** Stages of the runs that are being written, as they are stored: a run of many is written with each change of one. */
  const storedStages = new Map<string, readonly StageRun[]>();
  const writeStages = ({ id, stages }: Run): void => {
    const known = storedStages.get(id);
    const before = known !== undefined && known.length <= stages.length ? known : undefined;
    if (before === undefined) write("DELETE FROM stages WHERE run = ?", id);
    for (const [position, stage] of stages.entries()) {
      if (stage === before?.[position]) continue;
      const document = JSON.stringify(stage);
      write(
        "INSERT OR REPLACE INTO stages (run, position, document) VALUES (?, ?, ?)",
        id,
        position,
        document,
      );
    }
  };
  const writeRun = (run: Run): void =>
    write(
      `INSERT INTO runs (id, namespace, deployment, finished, document) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET namespace = excluded.namespace, deployment = excluded.deployment,
       finished = excluded.finished, document = excluded.document`,
      run.id,
      run.namespace ?? null,
      run.deployment ?? null,
      finishedRunStatuses.has(run.status) ? 1 : 0,
      JSON.stringify({ ...run, stages: undefined }),
    );
  const addEvent = (runId: string, event: NewRunEvent, at: Date): RunEvent => {
    const [row] = rows<{ last: number | null }>("SELECT max(seq) AS last FROM events WHERE run = ?", runId);
    const seq = (row?.last ?? 0) + 1;
    const stored = { ...event, seq, at: at.toISOString() } as RunEvent;
    write("INSERT INTO events (run, seq, document) VALUES (?, ?, ?)", runId, seq, JSON.stringify(stored));
    return stored;
  };

  return {
    run: (id) => readRuns("WHERE id = ?", id)[0],
    runs: ({ deployment, namespace, limit }) => {
      // By what is asked for: SQLite uses no index for a condition that may be off.
      const wanted = Object.entries({ deployment, namespace }).flatMap(([column, value]) =>
        value === undefined ? [] : [{ condition: `${column} = ?`, value }],
      );
      const where =
        wanted.length === 0 ? "" : `WHERE ${wanted.map(({ condition }) => condition).join(" AND ")}`;
      const values = wanted.map(({ value }) => value);
      return readRuns(`${where} ORDER BY id DESC LIMIT ?`, ...values, limit ?? -1);
    },
    unfinishedRuns: () => readRuns("WHERE finished = 0 ORDER BY id"),
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

    saveRun(run, told) {
      let stored: RunEvent | undefined;
      together(() => {
        writeRun(run);
        writeStages(run);
        if (told !== undefined) stored = addEvent(run.id, told.event, told.at);
      });
      if (finishedRunStatuses.has(run.status)) storedStages.delete(run.id);
      else storedStages.set(run.id, run.stages);
      return stored;
    },
    addEvent,
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
    removeRelease: ({ namespace, deployment, number }) =>
      write(
        "DELETE FROM releases WHERE namespace = ? AND deployment = ? AND number = ?",
        namespace,
        deployment,
        number,
      ),
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
         FROM runs) WHERE age > ? AND finished = 1 AND id NOT IN (
           SELECT json_extract(releases.document, '$.runId') FROM releases
           JOIN deployments ON deployments.namespace = releases.namespace AND deployments.name = releases.deployment
             AND json_extract(deployments.document, '$.liveRelease') = releases.number)`,
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
        rows<{ key: string; document: string }>(
          "SELECT key, document FROM documents WHERE collection = ? ORDER BY key",
          collection,
        ).map((row) => [row.key, read<T>(row)]),
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

/** One statement, so that a reader beside the writer sees a run and its stages as they were at one moment. */
const selectRuns = `SELECT document, (SELECT json_group_array(document) FROM
  (SELECT document FROM stages WHERE run = runs.id ORDER BY position)) AS stages FROM runs`;

/** What SQLite and the file system find, as a failure that says what to do. */
function guarded<Result>(file: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (isOneOf(error, SQLITE_FULL, "ENOSPC", "EDQUOT")) {
      throw new Failure("disk-full", `Cannot write to the store ${file}: the disk is full.`, {
        hint: "Free some space; services go on meanwhile.",
        cause: error,
      });
    }
    const isDamage = isOneOf(error, SQLITE_CORRUPT, SQLITE_NOTADB) || error instanceof SyntaxError;
    if (isDamage) throw unusable(file, `it is damaged (${(error as Error).message})`, error);
    const isOutOfReach = isOneOf(error, SQLITE_IOERR, SQLITE_CANTOPEN, "EACCES", "EISDIR");
    if (isOutOfReach) throw unusable(file, (error as Error).message, error);
    throw error;
  }
}

function unusable(file: string, found: string, cause?: unknown): Failure {
  return new Failure("store-damaged", `Cannot use the store ${file}: ${found}.`, {
    hint: "Services that run go on. Move the file away to start with an empty store, or put a backup in its place.",
    cause,
  });
}

/** https://sqlite.org/rescode.html; the higher bits only say more. */
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

function isOneOf(error: unknown, ...codes: readonly (number | string)[]): boolean {
  if (!(error instanceof Error)) return false;
  const ofSqlite = "errcode" in error ? Number(error.errcode) & 0xff : undefined;
  return codes.some((code) => code === ofSqlite || ("code" in error && code === error.code));
}
