import { asFailure, Failure } from "../core/failure.ts";
import { type Plan, plannedStages } from "../core/plan.ts";
import type { SecretValue } from "../core/secret-value.ts";
import type { Artifacts } from "../ports/artifacts.ts";
import type { Clock } from "../ports/clock.ts";
import type { Engine } from "../ports/engine.ts";
import type { Environments } from "../ports/environments.ts";
import type { RunStore } from "../ports/run-store.ts";
import type { SecretReader, Secrets } from "../ports/secrets.ts";
import type { Source } from "../ports/source.ts";
import { carryOutStages, waitingStage } from "./carry-out-stages.ts";
import { endFailedRun } from "./end-failed-run.ts";
import { type PreparedEnvironment, prepareEnvironments } from "./prepare-environments.ts";
import { prepareRun } from "./prepare-run.ts";
import { type RunRecorder, storyOf } from "./record-run.ts";
import { isReleased, leaveIfEmpty, removeFormerServices, saveRelease } from "./settle-release.ts";

export interface RunParts {
  readonly store: RunStore;
  readonly source: Source;
  readonly environments: Environments;
  readonly artifacts: Pick<Artifacts, "sweep">;
  readonly engine: Engine;
  readonly secrets: Secrets;
  readonly secretReader: SecretReader;
  readonly clock: Clock;
  readonly access: RepositoryAccess;
  /** Reads what plans of a namespace are decided by, where others write the record too; a run's turn does so by itself. */
  readonly lookAt?: ((namespace: string) => Promise<void>) | undefined;
  /** Waits until all that was saved is where it lasts; where a save is durable at once there is nothing to wait for. */
  readonly recorded?: (() => Promise<void>) | undefined;
  /** Batch stages of one run that may run at once. */
  readonly maxParallelStages: number;
  /**
   * Waits until no other run has the turn of the namespace; done already when this run has it. It ends with the run.
   * Fails: superseded.
   */
  readonly takeTurn: (
    namespace: string,
    deployment: string,
    recorder: RunRecorder,
    signal: AbortSignal,
  ) => Promise<void>;
}

/** What lets us read the repository; kept in memory only, so a run that another server goes on with has none of it. */
export interface RepositoryAccess {
  /** With credentials, if the user wrote some; the request's own URL when undefined. */
  readonly url?: string | undefined;
  /** Private key for ssh that came with the request. */
  readonly sshKey?: SecretValue | undefined;
  /** The key is worth keeping in the deployment's secrets group, for later runs. */
  readonly keep: boolean;
}

/** A run whose plan is decided, and all that is needed to carry it out. */
export interface PlannedRun {
  readonly plan: Plan;
  readonly environments: ReadonlyMap<string, PreparedEnvironment>;
  readonly recorder: RunRecorder;
  readonly parts: RunParts;
}

/**
 * Carries a run out, from its request to its end, or from wherever an earlier server left it. How it ended is in the
 * record; whatever goes wrong, services that were changed go back to the live release. Throws only when the record
 * can't be written: then the run is not finished, and is gone on with later.
 */
export async function carryOutRun(
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
): Promise<void> {
  let planned: PlannedRun | undefined;
  try {
    const prepared = await prepare(recorder, parts, signal);
    planned = prepared;
    // A reason is on record as soon as the run is to end badly. It may have been ending already when the server died.
    if (recorder.run.reason === undefined && !isReleased(recorder.run, parts.store)) {
      if (prepared.failure !== undefined) throw prepared.failure;
      await carryOutStages(prepared, signal);
      signal.throwIfAborted();
      await saveRelease(prepared);
    }
  } catch (error) {
    if (!isReleased(recorder.run, parts.store)) recordFailure(error, recorder);
  }
  if (isReleased(recorder.run, parts.store)) {
    await parts.recorded?.();
    if (planned !== undefined) {
      await removeFormerServices(planned);
      await leaveIfEmpty(planned);
    }
    // A cancellation that came too late has left its reason.
    recorder.update({ status: "succeeded", reason: undefined, code: undefined, endedAt: recorder.now() });
  } else {
    await endFailedRun(planned, recorder, parts, signal);
  }
  const { commit, id } = recorder.run;
  // At worst a commit stays protected that nobody needs.
  if (commit !== undefined) await parts.source.forget(commit, `run/${id}`).catch(() => {});
}

/** `failure`: why it can't be carried out; its failure stage may be. */
async function prepare(
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
): Promise<PlannedRun & { readonly failure: Failure | undefined }> {
  const { namespace, deployment } = recorder.run;
  // A run that had its turn when the server died has it again before anybody else can ask for it.
  if (namespace !== undefined && deployment !== undefined) {
    await parts.takeTurn(namespace, deployment, recorder, signal);
  }
  if (recorder.run.status === "queued") recorder.update({ status: "preparing", startedAt: recorder.now() });
  const prepared = await prepareRun(recorder, parts, signal);
  await parts.takeTurn(prepared.namespace, prepared.deployment, recorder, signal);
  const plan = prepared.plan();
  useSecrets(plan, recorder, parts);
  if (recorder.run.reason === undefined) await prepareEngine(plan, recorder, parts, signal);
  const { ready: environments, failure } = await prepareEnvironments(plan, recorder, parts, signal);
  if (recorder.run.status === "preparing" && recorder.run.reason === undefined && failure === undefined) {
    const stages = plan.nodes.map((node) => waitingStage(node, environments));
    recorder.update({ status: "running", release: plan.release, stages });
  }
  return { plan, environments, recorder, parts, failure };
}

/** What the engine needs before the first stage; done again, which changes nothing, by a server that goes on with the run. */
async function prepareEngine(
  plan: Plan,
  recorder: RunRecorder,
  { engine }: RunParts,
  signal: AbortSignal,
): Promise<void> {
  const { id, commit, request } = recorder.run;
  if (commit === undefined) throw new Failure("internal", "A run without a commit can't be prepared.");
  const { checkImage } = request;
  const note = recorder.notice;
  const { image } = await engine.prepare({ runId: id, plan, commit, checkImage }, { note }, signal);
  if (image !== undefined && recorder.run.image === undefined) recorder.update({ image });
}

/**
 * On record before anything else happens, for a version that no record names may be swept; and hidden in all that is
 * recorded from here on. Fails: as `Secrets.reveal`.
 */
function useSecrets(plan: Plan, recorder: RunRecorder, { secrets }: RunParts): void {
  const withSecrets = plannedStages(plan).filter((planned) => Object.keys(planned.secrets).length > 0);
  if (withSecrets.length === 0) return;
  if (recorder.run.secrets === undefined) {
    recorder.update({
      secrets: Object.fromEntries(withSecrets.map((planned) => [planned.stage.name, planned.secrets])),
    });
    recorder.notice("info", `Using secrets from group = ${plan.secretsGroup}`);
  }
  recorder.hide(
    withSecrets.flatMap((planned) => Object.values(planned.secrets)).map((secret) => secrets.reveal(secret)),
  );
}

function recordFailure(error: unknown, recorder: RunRecorder): void {
  const failure = asFailure(error);
  if (recorder.run.reason === undefined) {
    // A run that made room for a newer one has failed in nothing, so it counts as cancelled.
    recorder.update({ ...storyOf(failure), cancelRequested: failure.code === "superseded" });
  }
  if (failure.kind === "bug" && !recorder.run.cancelRequested) {
    const stack = failure.cause instanceof Error ? failure.cause.stack : undefined;
    recorder.notice("error", `This is a fault of Bodywork: ${failure.message}`, stack?.split("\n") ?? []);
  }
}
