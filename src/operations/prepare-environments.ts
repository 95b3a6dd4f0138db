import { asFailure, Failure } from "../core/failure.ts";
import { type Plan, type PlannedStage, plannedStages } from "../core/plan.ts";
import type { Environment } from "../ports/environments.ts";
import type { RunParts } from "./carry-out-run.ts";
import type { RunRecorder } from "./record-run.ts";

export type PreparedEnvironment = Environment & { readonly built: boolean };

export interface PreparedEnvironments {
  /** By node. */
  readonly ready: ReadonlyMap<string, PreparedEnvironment>;
  /** Why not all of them are. */
  readonly failure: Failure | undefined;
}

/**
 * A ready environment for every node, before any stage starts: a requirement that can't be had changes nothing. Stages
 * that ask for the same share one. When one can't be had the others are given up, but for that of the failure stage.
 */
export async function prepareEnvironments(
  plan: Plan,
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
): Promise<PreparedEnvironments> {
  const wanted = Map.groupBy(plannedStages(plan), ({ environment }) => JSON.stringify(environment));
  const ready = new Map<string, PreparedEnvironment>();
  const giveUp = new AbortController();
  const unlessGivenUp = AbortSignal.any([signal, giveUp.signal]);
  let failure: Failure | undefined;
  await Promise.all(
    [...wanted.values()].map(async (sharing) => {
      const isOfHook = sharing.some(({ node }) => node === plan.onFailure?.node);
      try {
        const environment = await prepareOne(sharing, recorder, parts, isOfHook ? signal : unlessGivenUp);
        for (const { node } of sharing) ready.set(node, environment);
      } catch (error) {
        failure ??= asFailure(error);
        giveUp.abort(failure);
      }
    }),
  );
  return { ready, failure };
}

async function prepareOne(
  sharing: readonly PlannedStage[],
  recorder: RunRecorder,
  { environments }: RunParts,
  signal: AbortSignal,
): Promise<PreparedEnvironment> {
  const [first] = sharing;
  if (first === undefined) throw new Failure("internal", "no stage asks for this environment");
  const found = environments.find(first.environment);
  if (found?.warnings.length === 0) return { ...found, built: false };
  const names = sharing.map(({ stage }) => stage.name).join(", ");
  // One that is there with warnings is prepared all the same: `strict` may refuse it.
  if (found === undefined) recorder.notice("info", `Building the Python environment of ${names}`);
  try {
    const environment = await environments.prepare(first.environment, {
      strict: recorder.run.request.strict,
      signal,
      onOutput: (text) => recorder.tellText(first.node, "environment", text),
    });
    for (const warning of environment.warnings) recorder.notice("warning", warning);
    return environment;
  } catch (error) {
    signal.throwIfAborted();
    const failure = asFailure(error);
    throw new Failure(failure.code, `Cannot build the Python environment of ${names}: ${failure.message}`, {
      hint: failure.hint,
      details: failure.details,
      cause: failure,
    });
  }
}
