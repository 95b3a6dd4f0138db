import { asFailure } from "../core/failure.ts";
import type { ChangedService } from "../core/run-state.ts";
import type { RollOutOutcome } from "../ports/engine.ts";
import type { RunParts } from "./carry-out-run.ts";
import type { RunRecorder } from "./record-run.ts";
import { withoutFullStop } from "./without-full-stop.ts";

/**
 * Returns every service that the run has changed to what served before, newest first; a service that is new goes. What
 * can't be put back is told, and the others are still put back.
 */
export async function putBack(recorder: RunRecorder, parts: RunParts): Promise<void> {
  for (const changed of recorder.run.changed.toReversed()) {
    const problem = await putServiceBack(changed, recorder, parts);
    if (problem === undefined) continue;
    const reason = withoutFullStop(problem.reason);
    recorder.notice(
      "error",
      changed.previous === undefined
        ? `Cannot remove service "${changed.stage}", which this run had added: ${reason}.`
        : `Cannot put release ${changed.previous.release} of service "${changed.stage}" back: ${reason}. The new one goes on serving.`,
      problem.lastLines,
    );
  }
}

interface PutBackProblem {
  readonly reason: string;
  readonly lastLines: readonly string[];
}

async function putServiceBack(
  { stage, previous }: ChangedService,
  recorder: RunRecorder,
  parts: RunParts,
): Promise<PutBackProblem | undefined> {
  const { run } = recorder;
  const service = { namespace: run.namespace ?? "", stage };
  const current = parts.engine.currentTask(service);
  if (current?.runId !== run.id) return undefined; // Its roll-out failed: the old one never stopped.
  const node = run.stages.findLast((candidate) => candidate.stage === stage)?.node ?? stage;
  try {
    if (previous === undefined) {
      recorder.tellStage(node, "reverted", `removing service "${stage}", which this run had added`);
      await parts.engine.removeService(service);
      return undefined;
    }
    // It may have been started with other versions of the secrets than the run's.
    recorder.hide(Object.values(previous.secrets ?? {}).map((secret) => parts.secrets.reveal(secret)));
    recorder.tellStage(node, "reverted", `putting release ${previous.release} of service "${stage}" back`);
    const observer = {
      log: () => {},
      note: (level: "info" | "warning", text: string) => recorder.notice(level, text),
    };
    return problemOf(await parts.engine.rollOut(previous, observer, new AbortController().signal));
  } catch (error) {
    const { message, details } = asFailure(error);
    return { reason: message, lastLines: details };
  }
}

function problemOf(outcome: RollOutOutcome): PutBackProblem | undefined {
  switch (outcome.kind) {
    case "serving":
      return undefined;
    case "failed":
      return outcome;
    case "cancelled":
      return { reason: "it was cancelled", lastLines: [] };
  }
}
