import { asFailure, Failure } from "../core/failure.ts";
import type { Plan, PlannedStage } from "../core/plan.ts";
import type { Attempt, BatchTask, ServiceTask, StageRun, TaskBase, TaskInput } from "../core/run-state.ts";
import type { Artifacts } from "../ports/artifacts.ts";
import type { Clock } from "../ports/clock.ts";
import type { BatchOutcome, Engine, TaskObserver } from "../ports/engine.ts";
import type { Environments } from "../ports/environments.ts";
import type { RunStore } from "../ports/run-store.ts";
import type { Source } from "../ports/source.ts";
import { type PreparedEnvironment, prepareEnvironments } from "./prepare-environments.ts";
import { prepareRun } from "./prepare-run.ts";
import { putBack } from "./put-back.ts";
import type { RunRecorder } from "./record-run.ts";
import { settleRelease } from "./settle-release.ts";

export interface RunParts {
  readonly store: RunStore;
  readonly source: Source;
  readonly environments: Environments;
  readonly artifacts: Artifacts;
  readonly engine: Engine;
  readonly clock: Clock;
  /** Private key text for ssh repositories, when the machine's environment has one. */
  readonly sshKey: string | undefined;
  /** Batch stages of one run that may run at once. */
  readonly maxParallelStages: number;
  /** Waits until no other run of the deployment is carried out; returns what ends the turn. */
  readonly takeTurn: (deployment: string, recorder: RunRecorder, signal: AbortSignal) => Promise<() => void>;
}

/**
 * Carries a run out, from its request to its end, or from wherever an earlier server left it. Never throws: how it
 * ended is in the record. Whatever goes wrong, services that were changed go back to the live release.
 */
export async function carryOutRun(
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
): Promise<void> {
  let endTurn = (): void => {};
  let plan: Plan | undefined;
  let environments: ReadonlyMap<string, PreparedEnvironment> = new Map();
  const takeTurn = async (namespace = "", deployment = ""): Promise<void> => {
    endTurn = await parts.takeTurn(`${namespace}/${deployment}`, recorder, signal);
  };
  try {
    if (recorder.run.status === "reverting") {
      await takeTurn(recorder.run.namespace, recorder.run.deployment);
      throw new Interrupted();
    }
    if (recorder.run.status === "queued") recorder.update({ status: "preparing", startedAt: recorder.now() });
    const prepared = await prepareRun(recorder, parts, signal);
    await takeTurn(prepared.namespace, prepared.deployment);
    plan = prepared.plan();
    environments = await prepareEnvironments(plan, recorder, parts, signal);
    if (recorder.run.status === "preparing") {
      const stages = plan.nodes.map((planned) => asWaiting(planned, environments));
      recorder.update({ status: "running", release: plan.release, stages });
    }
    await carryOutStages(plan, environments, recorder, parts, signal);
    signal.throwIfAborted();
    await settleRelease(plan, environments, recorder, parts);
    recorder.update({ status: "succeeded", endedAt: recorder.now() });
  } catch (error) {
    await endFailedRun(error, recorder, parts, signal, plan, environments);
  } finally {
    endTurn();
    if (recorder.run.commit !== undefined) {
      await parts.source.forget(recorder.run.commit, `run/${recorder.run.id}`).catch(() => {});
    }
  }
}

/** A run that was putting services back when the server died: the reason is on record already. */
class Interrupted extends Error {}

function asWaiting(
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

/** Starts each stage as soon as all it waits for have succeeded; the first failure stops the others. */
async function carryOutStages(
  plan: Plan,
  environments: ReadonlyMap<string, PreparedEnvironment>,
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
): Promise<void> {
  const stop = new AbortController();
  const anySignal = AbortSignal.any([signal, stop.signal]);
  const running = new Map<string, Promise<void>>();
  let firstFailure: unknown;
  const carryOut = async (planned: PlannedStage): Promise<void> => {
    try {
      await carryOutStage(planned, plan, environments, recorder, parts, anySignal);
    } catch (error) {
      firstFailure ??= error;
      stop.abort();
    } finally {
      running.delete(planned.node);
    }
  };

  for (;;) {
    if (firstFailure === undefined && !signal.aborted) {
      for (const planned of readyStages(plan, recorder, running)) {
        if (planned.stage.kind === "batch" && batchesAmong(plan, running) >= parts.maxParallelStages)
          continue;
        running.set(planned.node, carryOut(planned));
      }
    }
    if (running.size === 0) break;
    await Promise.race(running.values());
  }
  if (firstFailure !== undefined) throw firstFailure;
}

function readyStages(
  plan: Plan,
  recorder: RunRecorder,
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

async function carryOutStage(
  planned: PlannedStage,
  plan: Plan,
  environments: ReadonlyMap<string, PreparedEnvironment>,
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
): Promise<void> {
  const { node, stage } = planned;
  recorder.updateStage(node, {
    status: "running",
    startedAt: recorder.stage(node).startedAt ?? recorder.now(),
  });
  const task = taskBase(planned, plan, environments, recorder);
  try {
    if (stage.kind === "batch") {
      await runAttempts({ ...task, stage, attempt: 1, outputs: stage.outputs }, recorder, parts, signal);
    } else {
      await rollOutService({ ...task, stage }, recorder, parts, signal);
    }
    recorder.updateStage(node, { status: "succeeded", endedAt: recorder.now() });
  } catch (error) {
    recorder.updateStage(node, {
      status: signal.aborted ? "cancelled" : "failed",
      endedAt: recorder.now(),
    });
    throw error;
  }
}

function taskBase(
  planned: PlannedStage,
  plan: Plan,
  environments: ReadonlyMap<string, PreparedEnvironment>,
  recorder: RunRecorder,
): TaskBase {
  const { run } = recorder;
  const environment = environments.get(planned.node);
  if (run.commit === undefined || environment === undefined) {
    throw new Failure(
      "internal",
      `Stage "${planned.node}" was to start before its commit or environment was there.`,
    );
  }
  return {
    runId: run.id,
    node: planned.node,
    deployment: plan.deployment,
    namespace: plan.namespace,
    release: plan.release,
    commit: run.commit,
    environment: { key: environment.key, folder: environment.folder, python: environment.python },
    inputs: planned.stage.inputs.map((input): TaskInput => {
      const output = run.stages
        .findLast(({ stage, status }) => stage === input.fromStage && status === "succeeded")
        ?.outputs.find(({ name }) => name === input.fromOutput);
      if (output === undefined) {
        throw new Failure(
          "output-missing",
          `Cannot start stage "${planned.stage.name}": its input "${input.name}" comes from ${input.fromStage}.${input.fromOutput}, which this run has not made.`,
        );
      }
      return {
        name: input.name,
        path: input.path,
        artifact: { digest: output.digest, kind: output.kind, bytes: output.bytes },
      };
    }),
    variables: planned.variables,
  };
}

/** Attempts are retries + 1. One that an earlier server left running is gone on with. */
async function runAttempts(
  first: BatchTask,
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
): Promise<void> {
  const { node, stage } = first;
  const attempts = recorder.stage(node).attempts;
  const left = attempts.findLast(({ status }) => status === "running");
  for (let number = left?.number ?? attempts.length + 1; ; number++) {
    const task = { ...first, attempt: number };
    if (left?.number !== number) {
      recorder.updateStage(node, {
        attempts: [...recorder.stage(node).attempts, startedAttempt(number, recorder)],
      });
    }
    const observer = observe(node, number, recorder);
    const outcome = await parts.engine.runBatch(task, observer, signal);
    observer.close();
    recorder.updateAttempt(node, number, { ...attemptResult(outcome), endedAt: recorder.now() });
    if (outcome.kind === "succeeded") {
      recorder.updateStage(node, { outputs: outcome.outputs });
      return;
    }
    signal.throwIfAborted();
    if (outcome.kind === "cancelled") throw new Failure("cancelled", `Stage "${stage.name}" was cancelled.`);
    if (number > stage.retries) {
      throw new Failure(
        "stage-failed",
        `Stage "${stage.name}" failed: ${outcome.reason}${number > 1 ? ` (attempt ${number} of ${stage.retries + 1})` : ""}.`,
        { details: outcome.lastLines },
      );
    }
    recorder.notice(
      "warning",
      `Stage "${stage.name}", attempt ${number} of ${stage.retries + 1} failed: ${outcome.reason}; trying again.`,
    );
  }
}

function startedAttempt(number: number, recorder: RunRecorder): Attempt {
  return {
    number,
    status: "running",
    reason: undefined,
    lastLines: [],
    startedAt: recorder.now(),
    endedAt: undefined,
    logs: [],
  };
}

function attemptResult(outcome: BatchOutcome): Pick<Attempt, "status" | "reason" | "lastLines"> {
  switch (outcome.kind) {
    case "succeeded":
    case "cancelled":
      return { status: outcome.kind, reason: undefined, lastLines: [] };
    case "failed":
    case "lost":
      return { status: outcome.kind, reason: outcome.reason, lastLines: outcome.lastLines };
  }
}

/** Records where each log is and tells followers; `close` when the attempt is over. */
function observe(node: string, number: number, recorder: RunRecorder): TaskObserver & { close(): void } {
  const closers: (() => void)[] = [];
  return {
    log(source, reference) {
      const known = recorder.stage(node).attempts.find((attempt) => attempt.number === number)?.logs ?? [];
      if (!known.includes(reference)) recorder.updateAttempt(node, number, { logs: [...known, reference] });
      closers.push(recorder.tellLog(node, source, reference));
    },
    note: (level, text) => recorder.notice(level, text),
    close: () => {
      for (const close of closers) close();
    },
  };
}

/** What served before is on record before anything of it is touched, so that it can be put back after any crash. */
async function rollOutService(
  task: ServiceTask,
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
): Promise<void> {
  const { node, stage } = task;
  const service = { namespace: task.namespace, stage: stage.name };
  if (!recorder.run.changed.some((changed) => changed.stage === stage.name)) {
    const previous = parts.engine.currentTask(service);
    recorder.update({ changed: [...recorder.run.changed, { stage: stage.name, previous }] });
  }
  if (recorder.stage(node).attempts.length === 0) {
    recorder.updateStage(node, { attempts: [startedAttempt(1, recorder)] });
  }
  const observer = observe(node, 1, recorder);
  const outcome = await parts.engine.rollOut(task, observer, signal);
  observer.close();
  const ended = { endedAt: recorder.now() };
  switch (outcome.kind) {
    case "serving":
      recorder.updateAttempt(node, 1, { ...ended, status: "succeeded" });
      return;
    case "cancelled":
      recorder.updateAttempt(node, 1, { ...ended, status: "cancelled" });
      throw new Failure("cancelled", `The roll-out of service "${stage.name}" was cancelled.`);
    case "failed":
      recorder.updateAttempt(node, 1, {
        ...ended,
        status: "failed",
        reason: outcome.reason,
        lastLines: outcome.lastLines,
      });
      throw new Failure(
        "service-not-ready",
        `Deployments failed to roll-out successfully: service "${stage.name}" ${outcome.reason}.`,
        { details: outcome.lastLines },
      );
  }
}

/** Puts the services back, then says how the run ended; the failure stage runs last and changes nothing about it. */
async function endFailedRun(
  error: unknown,
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
  plan: Plan | undefined,
  environments: ReadonlyMap<string, PreparedEnvironment>,
): Promise<void> {
  const cancelled = recorder.run.cancelRequested || (signal.aborted && !(error instanceof Interrupted));
  const failure = asFailure(error);
  const story =
    error instanceof Interrupted
      ? {}
      : cancelled
        ? { reason: "cancelled", details: [], hint: undefined }
        : { reason: failure.message, details: failure.details, hint: failure.hint };
  if (failure.kind === "bug" && !cancelled && !(error instanceof Interrupted)) {
    recorder.notice("error", `This is a fault of Bodywork: ${failure.message}`, stackOf(failure.cause));
  }
  if (recorder.run.changed.length > 0) {
    recorder.update({ ...story, status: "reverting", cancelRequested: cancelled });
    await putBack(recorder, parts);
  } else {
    recorder.update(story);
  }
  for (const { node, status } of recorder.run.stages) {
    if (status === "waiting" || status === "running") recorder.updateStage(node, { status: "skipped" });
  }
  if (!cancelled && plan?.onFailure !== undefined) {
    await runFailureStage(plan.onFailure, plan, environments, recorder, parts, recorder.run.reason ?? "");
  }
  recorder.update({ status: cancelled ? "cancelled" : "failed", endedAt: recorder.now() });
}

function stackOf(cause: unknown): readonly string[] {
  return cause instanceof Error && cause.stack !== undefined ? cause.stack.split("\n") : [];
}

async function runFailureStage(
  planned: PlannedStage,
  plan: Plan,
  environments: ReadonlyMap<string, PreparedEnvironment>,
  recorder: RunRecorder,
  parts: RunParts,
  reason: string,
): Promise<void> {
  if (!environments.has(planned.node)) return; // The pipeline could not even start.
  recorder.notice("info", `Executing stage = ${planned.stage.name}`);
  recorder.addStage(asWaiting(planned, environments));
  try {
    const withReason = { ...planned, variables: { ...planned.variables, EXCEPTION_MESSAGE: reason } };
    await carryOutStage(withReason, plan, environments, recorder, parts, new AbortController().signal);
  } catch (error) {
    recorder.notice(
      "error",
      `The failure stage "${planned.stage.name}" failed after the run had failed: ${asFailure(error).message}`,
    );
  }
}
