import { randomBytes } from "node:crypto";

import { Failure } from "../core/failure.ts";
import { type DeployRequest, finishedRunStatuses, type Run } from "../core/run-state.ts";
import { carryOutRun, type RunParts } from "./carry-out-run.ts";
import { deleteDeployment } from "./delete-deployment.ts";
import type { Actions } from "./operations.ts";
import { type RunRecorder, recordRun } from "./record-run.ts";
import type { RunFeed } from "./run-feed.ts";
import { createTurns } from "./turns.ts";

/** The actions as the server carries them out, and what it needs to start and stop well. */
export interface RunActions extends Actions {
  /** The key is used for this run and never stored. */
  deploy(request: DeployRequest, sshKey?: string): Promise<{ readonly runId: string }>;
  /** Goes on with every run that an earlier server left unfinished. */
  resume(): void;
  /** Runs being carried out now. */
  running(): readonly string[];
}

export type SharedParts = Omit<RunParts, "takeTurn" | "sshKey">;

export function createRunActions(parts: SharedParts, feed: RunFeed): RunActions {
  const { store, clock, engine, environments } = parts;
  const carriedOut = new Map<string, AbortController>();
  const turns = createTurns();

  const carryOut = (run: Run, sshKey: string | undefined): void => {
    const stop = new AbortController();
    carriedOut.set(run.id, stop);
    const recorder = recordRun(run, store, feed, clock);
    if (run.cancelRequested) stop.abort();
    const takeTurn = (key: string, waiting: RunRecorder, signal: AbortSignal) =>
      turns.take(key, run.id, signal, (holder) =>
        waiting.notice("info", `Waiting for run ${holder} of the same deployment to end.`),
      );
    void carryOutRun(recorder, { ...parts, sshKey, takeTurn }, stop.signal).finally(() =>
      carriedOut.delete(run.id),
    );
  };

  return {
    async deploy(request, sshKey) {
      const run = newRun(request, clock.now());
      store.saveRun(run);
      carryOut(run, sshKey);
      return { runId: run.id };
    },
    followRun: (runId, after, signal = new AbortController().signal) => {
      requireRun(runId);
      return feed.subscribe(runId, after, signal);
    },
    async cancelRun(runId) {
      const run = requireRun(runId);
      if (finishedRunStatuses.has(run.status)) return;
      carriedOut.get(runId)?.abort();
    },
    deleteDeployment: (name) => deleteDeployment(name, parts, turns, carriedOut),
    cleanEnvironments: ({ unusedDays }) =>
      environments.sweep({
        keep: new Set(
          engine.services().flatMap(({ namespace, stage }) => {
            const task = engine.currentTask({ namespace, stage });
            return task === undefined ? [] : [task.environment.key];
          }),
        ),
        unusedSince: new Date(clock.now().getTime() - unusedDays * 86_400_000),
      }),
    resume() {
      // Whoever was in the middle of changing services goes first in its deployment's queue.
      const order = (run: Run): number => (run.status === "reverting" ? 0 : run.status === "running" ? 1 : 2);
      for (const run of store.unfinishedRuns().toSorted((a, b) => order(a) - order(b)))
        carryOut(run, undefined);
    },
    running: () => [...carriedOut.keys()],
  };

  function requireRun(runId: string): Run {
    const run = store.run(runId);
    if (run === undefined)
      throw new Failure("not-found", `There is no run ${runId}.`, { hint: "bodywork get runs" });
    return run;
  }
}

function newRun(request: DeployRequest, now: Date): Run {
  return {
    id: runId(now),
    request,
    status: "queued",
    reason: undefined,
    details: [],
    hint: undefined,
    createdAt: now.toISOString(),
    startedAt: undefined,
    endedAt: undefined,
    deployment: undefined,
    namespace: undefined,
    commit: undefined,
    release: undefined,
    stages: [],
    changed: [],
    cancelRequested: false,
  };
}

/** Sorts by time, to the millisecond: `20261123-190512345-k3f9`. */
function runId(now: Date): string {
  const [date, time] = now
    .toISOString()
    .replace(/[-:.Z]/g, "")
    .split("T");
  return `${date}-${time}-${randomBytes(3).toString("hex").slice(0, 4)}`;
}
