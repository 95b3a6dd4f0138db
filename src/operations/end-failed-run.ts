import { asFailure } from "../core/failure.ts";
import type { PlannedStage } from "../core/plan.ts";
import type { PlannedRun, RunParts } from "./carry-out-run.ts";
import { carryOutStage } from "./carry-out-stage.ts";
import { waitingStage } from "./carry-out-stages.ts";
import { putBack } from "./put-back.ts";
import type { RunRecorder } from "./record-run.ts";

/**
 * Ends a run whose reason is on record: nothing of it goes on, services are put back, then the failure stage runs, which
 * changes nothing about the verdict. Each part may be done already, by a server that died in the middle.
 * @param planned undefined when the run never came to a plan, or it can't be had any more
 */
export async function endFailedRun(
  planned: PlannedRun | undefined,
  recorder: RunRecorder,
  parts: RunParts,
  signal: AbortSignal,
): Promise<void> {
  const { id, cancelRequested } = recorder.run;
  const hook = cancelRequested ? undefined : planned?.plan.onFailure;
  const hookHasBegun = recorder.run.stages.some(({ node }) => node === hook?.node);
  if (!hookHasBegun) {
    await parts.engine.endRun(id);
    endStages(recorder);
    if (recorder.run.changed.length > 0) {
      recorder.update({ status: "reverting" });
      await putBack(recorder, parts);
    }
  }
  // Without an environment it can't be run.
  if (planned?.environments.has(hook?.node ?? "") && hook !== undefined) {
    await runFailureStage(hook, planned, signal);
  }
  recorder.update({ status: cancelRequested ? "cancelled" : "failed", endedAt: recorder.now() });
}

function endStages(recorder: RunRecorder): void {
  const endedAt = recorder.now();
  for (const { node, status, attempts } of recorder.run.stages) {
    if (status === "waiting") recorder.updateStage(node, { status: "skipped" });
    if (status === "running") {
      recorder.updateStage(node, {
        status: "cancelled",
        endedAt,
        attempts: attempts.map((attempt) =>
          attempt.status === "running" ? { ...attempt, status: "cancelled", endedAt } : attempt,
        ),
      });
    }
  }
}

async function runFailureStage(hook: PlannedStage, planned: PlannedRun, signal: AbortSignal): Promise<void> {
  const { recorder, environments } = planned;
  const before = recorder.run.stages.find(({ node }) => node === hook.node);
  if (before !== undefined && before.status !== "waiting" && before.status !== "running") return;
  if (before === undefined) {
    recorder.notice("info", `Executing stage = ${hook.stage.name}`);
    recorder.addStage(waitingStage(hook, environments));
  }
  const variables = { ...hook.variables, EXCEPTION_MESSAGE: recorder.run.reason ?? "" };
  try {
    await carryOutStage({ ...hook, variables }, planned, signal);
  } catch (error) {
    recorder.notice(
      "error",
      `The failure stage "${hook.stage.name}" failed after the run had failed: ${asFailure(error).message}`,
    );
  }
}
