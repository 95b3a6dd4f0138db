import { asFailure, Failure } from "../core/failure.ts";
import type { PlannedStage } from "../core/plan.ts";
import type { Attempt, BatchTask, ServiceTask, StageOutput, TaskBase, TaskInput } from "../core/run-state.ts";
import type { TaskObserver } from "../ports/engine.ts";
import type { PlannedRun } from "./carry-out-run.ts";
import { type RunRecorder, storyOf } from "./record-run.ts";
import { replicaSource } from "./replica-source.ts";
import { withoutFullStop } from "./without-full-stop.ts";

/**
 * One stage, from its start to its end, or from where an earlier server left it. How it ended is stored in one step with
 * its last attempt, its outputs and, when the run fails by it, the run's reason: a crash never leaves half of it.
 */
export async function carryOutStage(
  planned: PlannedStage,
  run: PlannedRun,
  signal: AbortSignal,
): Promise<void> {
  const { recorder } = run;
  const { node } = planned;
  const end = await carryOut(planned, run, signal).catch((error: unknown): StageEnd => {
    const failure = asFailure(error);
    return { attempt: { status: "failed", reason: failure.message }, failure };
  });
  const failed = end.failure !== undefined && !signal.aborted;
  const status = end.failure === undefined ? "succeeded" : failed ? "failed" : "cancelled";
  const endedAt = recorder.now();
  const attempts = recorder
    .stage(node)
    .attempts.map((one) => (one.status === "running" ? { ...one, endedAt, ...end.attempt } : one));
  const change = { status, endedAt, attempts, outputs: end.outputs ?? [] } as const;
  // The first failure is the run's; what fails later (a failure stage, too) is not.
  const isTheRuns = failed && recorder.run.reason === undefined;
  recorder.updateStage(node, change, isTheRuns ? storyOf(end.failure) : {});
  if (end.failure !== undefined) throw end.failure;
}

/** What the stage's last attempt came to. */
interface StageEnd {
  readonly attempt: Partial<Attempt> & Pick<Attempt, "status">;
  readonly outputs?: readonly StageOutput[];
  readonly failure?: Failure | undefined;
}

async function carryOut(planned: PlannedStage, run: PlannedRun, signal: AbortSignal): Promise<StageEnd> {
  const { recorder } = run;
  const { stage } = planned;
  if (stage.kind === "batch") {
    begin(planned, recorder);
    return runAttempts({ ...taskBase(planned, run), stage, attempt: 1, outputs: stage.outputs }, run, signal);
  }
  rememberService(planned, run);
  begin(planned, recorder);
  return rollOutService({ ...taskBase(planned, run), stage }, run, signal);
}

/** The attempt is on record before the engine hears of it, so that none can be started twice. */
function begin({ node }: PlannedStage, recorder: RunRecorder): void {
  const { startedAt, status, attempts } = recorder.stage(node);
  if (status === "running") return;
  recorder.updateStage(node, {
    status: "running",
    startedAt: startedAt ?? recorder.now(),
    attempts: [...attempts, startedAttempt(attempts.length + 1, recorder)],
  });
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

function taskBase(planned: PlannedStage, { plan, environments, recorder }: PlannedRun): TaskBase {
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
    ...(run.image === undefined ? {} : { image: run.image }),
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
    secrets: planned.secrets,
  };
}

/** Attempts are retries + 1. One that an earlier server left running is gone on with. */
async function runAttempts(
  first: BatchTask,
  { recorder, parts }: PlannedRun,
  signal: AbortSignal,
): Promise<StageEnd> {
  const { node, stage } = first;
  const most = stage.retries + 1;
  for (;;) {
    const number = recorder.stage(node).attempts.length;
    const outcome = await observed(node, recorder, (observer) =>
      parts.engine.runBatch({ ...first, attempt: number }, observer, signal),
    );
    if (outcome.kind === "succeeded") {
      return { attempt: { status: "succeeded" }, outputs: outcome.outputs };
    }
    if (outcome.kind === "cancelled") {
      const failure = new Failure("cancelled", `Stage "${stage.name}" was cancelled.`);
      return { attempt: { status: "cancelled" }, failure };
    }
    const reason = withoutFullStop(outcome.reason);
    const ended = { status: outcome.kind, reason, lastLines: outcome.lastLines };
    if (number >= most || signal.aborted) {
      const which = most > 1 ? ` (attempt ${number} of ${most})` : "";
      const failure = new Failure("stage-failed", `Stage "${stage.name}" failed: ${reason}${which}.`, {
        details: outcome.lastLines,
      });
      return { attempt: ended, failure };
    }
    const attempts = recorder
      .stage(node)
      .attempts.map((attempt) =>
        attempt.number === number ? { ...attempt, ...ended, endedAt: recorder.now() } : attempt,
      );
    recorder.updateStage(node, { attempts: [...attempts, startedAttempt(number + 1, recorder)] });
    recorder.notice(
      "warning",
      `Stage "${stage.name}", attempt ${number} of ${most} failed: ${reason}; trying again.`,
    );
  }
}

/** Records where each log of the last attempt is, and tells followers; hears nothing any more when the work is done. */
async function observed<T>(
  node: string,
  recorder: RunRecorder,
  work: (observer: TaskObserver) => Promise<T>,
): Promise<T> {
  const closers: (() => void)[] = [];
  let done = false;
  try {
    return await work({
      log(source, reference) {
        // A service goes on after its roll-out, and so do its logs: they are no longer the run's.
        if (done) return;
        const { attempts } = recorder.stage(node);
        const last = attempts.at(-1);
        if (last?.logs.some((log) => log.reference === reference) === false) {
          const logs = [...last.logs, { source, reference }];
          recorder.updateStage(node, { attempts: [...attempts.slice(0, -1), { ...last, logs }] });
        }
        closers.push(recorder.tellLog(node, source, reference));
      },
      note(level, text) {
        if (!done) recorder.notice(level, text);
      },
    });
  } finally {
    done = true;
    for (const close of closers) close();
  }
}

/** What served before is on record before anything of it is touched, so that it can be put back after any crash. */
function rememberService({ stage }: PlannedStage, { plan, recorder, parts }: PlannedRun): void {
  const { changed } = recorder.run;
  if (changed.some((known) => known.stage === stage.name)) return;
  const previous = parts.engine.currentTask({ namespace: plan.namespace, stage: stage.name });
  recorder.update({ changed: [...changed, { stage: stage.name, previous }] });
}

async function rollOutService(
  task: ServiceTask,
  { recorder, parts }: PlannedRun,
  signal: AbortSignal,
): Promise<StageEnd> {
  const { name, replicas } = task.stage;
  const outcome = await observed(task.node, recorder, (observer) => {
    const log: TaskObserver["log"] = (replica, reference) =>
      observer.log(replicaSource(replica, replicas), reference);
    return parts.engine.rollOut(task, { ...observer, log }, signal);
  });
  switch (outcome.kind) {
    case "serving":
      return { attempt: { status: "succeeded" } };
    case "cancelled": {
      const failure = new Failure("cancelled", `The roll-out of service "${name}" was cancelled.`);
      return { attempt: { status: "cancelled" }, failure };
    }
    case "failed": {
      const reason = withoutFullStop(outcome.reason);
      const { lastLines } = outcome;
      const failure = new Failure(
        "service-not-ready",
        `Deployments failed to roll-out successfully: service "${name}" ${reason}.`,
        { details: lastLines },
      );
      return { attempt: { status: "failed", reason, lastLines }, failure };
    }
  }
}
