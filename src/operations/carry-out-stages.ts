import type { Plan, PlannedStage } from "../core/plan.ts";
import type { StageRun } from "../core/run-state.ts";
import type { PlannedRun } from "./carry-out-run.ts";
import { carryOutStage } from "./carry-out-stage.ts";
import type { PreparedEnvironment } from "./prepare-environments.ts";

/** Starts each stage as soon as all it waits for have succeeded; the first failure stops the others and is thrown. */
export async function carryOutStages(planned: PlannedRun, signal: AbortSignal): Promise<void> {
  const { plan, parts } = planned;
  const stop = new AbortController();
  const anySignal = AbortSignal.any([signal, stop.signal]);
  const running = new Map<string, Promise<void>>();
  const failures: unknown[] = [];
  const carryOut = async (stage: PlannedStage): Promise<void> => {
    try {
      await carryOutStage(stage, planned, anySignal);
    } catch (error) {
      failures.push(error);
      stop.abort();
    } finally {
      running.delete(stage.node);
    }
  };

  for (;;) {
    for (const stage of anySignal.aborted ? [] : readyStages(planned, running)) {
      if (stage.stage.kind === "batch" && batchesAmong(plan, running) >= parts.maxParallelStages) continue;
      running.set(stage.node, carryOut(stage));
    }
    if (running.size === 0) break;
    await Promise.race(running.values());
  }
  if (failures.length > 0) throw failures[0];
}

/** A node of the graph before anything has happened with it. */
export function waitingStage(
  { node, stage, after }: PlannedStage,
  environments: ReadonlyMap<string, PreparedEnvironment>,
): StageRun {
  const environment = environments.get(node);
  return {
    node,
    stage: stage.name,
    kind: stage.kind,
    after,
    status: "waiting",
    startedAt: undefined,
    endedAt: undefined,
    environment:
      environment === undefined
        ? undefined
        : { key: environment.key, pythonVersion: environment.pythonVersion, built: environment.built },
    attempts: [],
    outputs: [],
  };
}

function readyStages(
  { plan, recorder }: PlannedRun,
  running: ReadonlyMap<string, unknown>,
): readonly PlannedStage[] {
  const done = new Set(
    recorder.run.stages.filter(({ status }) => status === "succeeded").map(({ node }) => node),
  );
  return plan.nodes.filter(
    ({ node, after }) => !done.has(node) && !running.has(node) && after.every((before) => done.has(before)),
  );
}

function batchesAmong(plan: Plan, running: ReadonlyMap<string, unknown>): number {
  return plan.nodes.filter(({ node, stage }) => stage.kind === "batch" && running.has(node)).length;
}
