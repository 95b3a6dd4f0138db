import type { SQLInputValue } from "node:sqlite";

import { finishedRunStatuses, type Run, type RunEvent, type StageRun } from "../core/run-state.ts";
import type { NewRunEvent, RunReader, RunStore } from "../ports/run-store.ts";
import { documentText } from "./document-text.ts";
import type { Rows } from "./rows.ts";

/** Runs with their stages and events. */
export type RunRows = Pick<RunReader, "run" | "runIds" | "runs" | "unfinishedRuns" | "events"> &
  Pick<RunStore, "saveRun" | "addEvent" | "removeOldRuns" | "removeRuns"> & {
    /** Within a transaction of the caller's. */
    dropRuns(ids: readonly string[]): void;
  };

export function createRunRows({ write, rows, all, parse, together }: Rows): RunRows {
  const readRuns = (where: string, ...values: SQLInputValue[]): Run[] =>
    rows<{ document: string; stages: string }>(`${selectRuns} ${where}`, ...values).map(
      ({ document, stages }) => ({
        ...parse<Run>(document),
        stages: parse<string[]>(stages).map((stage) => parse<StageRun>(stage)),
      }),
    );
  const idsOf = (sql: string, ...values: SQLInputValue[]): string[] =>
    rows<{ id: string }>(sql, ...values).map(({ id }) => id);
  /** Stages of the runs that are being written, as they are stored: a run of many is written with each change of one. */
  const storedStages = new Map<string, readonly StageRun[]>();

  return {
    run: (id) => readRuns("WHERE id = ?", id)[0],
    runIds: (beginning, limit) =>
      idsOf(
        "SELECT id FROM runs WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?",
        beginning,
        // No id has it: all that begin so are before it.
        `${beginning}\u{10ffff}`,
        limit,
      ),
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

    saveRun(run, told) {
      const stored = together(() => {
        writeRun(run);
        writeStages(run);
        return told === undefined ? undefined : addEvent(run.id, told.event, told.at);
      });
      if (finishedRunStatuses.has(run.status)) storedStages.delete(run.id);
      else storedStages.set(run.id, run.stages);
      return stored;
    },
    addEvent,
    removeOldRuns: (keep) =>
      together(() => {
        const old = idsOf(
          `SELECT id FROM (SELECT id, finished, row_number() OVER (PARTITION BY namespace, deployment ORDER BY id DESC) AS age
           FROM runs) WHERE age > ? AND ${isRemovable}`,
          keep,
        );
        dropRuns(old);
        return old;
      }),
    removeRuns: (ids) =>
      together(() => {
        const removable = ids.flatMap((id) =>
          idsOf(`SELECT id FROM runs WHERE id = ? AND ${isRemovable}`, id),
        );
        dropRuns(removable);
        return removable;
      }),
    dropRuns,
  };

  function writeRun(run: Run): void {
    write(
      `INSERT INTO runs (id, namespace, deployment, finished, document) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET namespace = excluded.namespace, deployment = excluded.deployment,
       finished = excluded.finished, document = excluded.document`,
      run.id,
      run.namespace ?? null,
      run.deployment ?? null,
      finishedRunStatuses.has(run.status) ? 1 : 0,
      documentText({ ...run, stages: undefined }),
    );
  }

  function writeStages({ id, stages }: Run): void {
    const known = storedStages.get(id);
    const before = known !== undefined && known.length <= stages.length ? known : undefined;
    if (before === undefined) write("DELETE FROM stages WHERE run = ?", id);
    for (const [position, stage] of stages.entries()) {
      if (stage === before?.[position]) continue;
      const document = documentText(stage);
      write(
        "INSERT OR REPLACE INTO stages (run, position, document) VALUES (?, ?, ?)",
        id,
        position,
        document,
      );
    }
  }

  function addEvent(runId: string, event: NewRunEvent, at: Date): RunEvent {
    const [row] = rows<{ last: number | null }>("SELECT max(seq) AS last FROM events WHERE run = ?", runId);
    const seq = (row?.last ?? 0) + 1;
    const stored = { ...event, seq, at: at.toISOString() } as RunEvent;
    write("INSERT INTO events (run, seq, document) VALUES (?, ?, ?)", runId, seq, documentText(stored));
    return stored;
  }

  function dropRuns(ids: readonly string[]): void {
    for (const id of ids) {
      write("DELETE FROM events WHERE run = ?", id);
      write("DELETE FROM stages WHERE run = ?", id);
      write("DELETE FROM runs WHERE id = ?", id);
    }
  }
}

/** One statement, so that a reader beside the writer sees a run and its stages as they were at one moment. */
const selectRuns = `SELECT document, (SELECT json_group_array(document) FROM
  (SELECT document FROM stages WHERE run = runs.id ORDER BY position)) AS stages FROM runs`;

/** Finished, and not what made a live release. */
const isRemovable = `finished = 1 AND id NOT IN (
  SELECT json_extract(releases.document, '$.runId') FROM releases
  JOIN deployments ON deployments.namespace = releases.namespace AND deployments.name = releases.deployment
    AND json_extract(deployments.document, '$.liveRelease') = releases.number)`;
