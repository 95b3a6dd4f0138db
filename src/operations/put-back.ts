import type { RunParts } from "./carry-out-run.ts";
import type { RunRecorder } from "./record-run.ts";

/**
 * Returns every service that the run has changed to what served before; a service that is new goes. What can't be put
 * back is told, and the others are still put back.
 */
export async function putBack(recorder: RunRecorder, parts: RunParts): Promise<void> {
  const { run } = recorder;
  for (const { stage, previous } of run.changed.toReversed()) {
    const service = { namespace: run.namespace ?? "", stage };
    const current = parts.engine.currentTask(service);
    if (current === undefined || current.runId !== run.id) continue; // Its roll-out failed: the old one never stopped.
    const node = run.stages.findLast((candidate) => candidate.stage === stage)?.node ?? stage;
    if (previous === undefined) {
      await parts.engine.removeService(service);
      recorder.tellStage(node, "reverted", `removed service "${stage}", which this run had added`);
      continue;
    }
    recorder.tellStage(node, "reverted", `putting release ${previous.release} of service "${stage}" back`);
    const outcome = await parts.engine.rollOut(
      previous,
      { log: () => {}, note: (level, text) => recorder.notice(level, text) },
      new AbortController().signal,
    );
    if (outcome.kind !== "serving") {
      recorder.notice(
        "error",
        `Cannot put release ${previous.release} of service "${stage}" back: ${outcome.kind === "failed" ? outcome.reason : outcome.kind}. The new one goes on serving.`,
        outcome.kind === "failed" ? outcome.lastLines : [],
      );
    }
  }
}
