import type { Run, StageRun } from "../core/run-state.ts";

export type Mask = (text: string) => string;

/** A change of a run with its texts masked: those that a failure or a stage's output has got into. */
export function maskedRun<T extends Partial<Run>>(change: T, mask: Mask): T {
  return {
    ...change,
    ...(change.reason === undefined ? {} : { reason: mask(change.reason) }),
    ...(change.details === undefined ? {} : { details: maskedLines(change.details, mask) }),
    ...(change.hint === undefined ? {} : { hint: mask(change.hint) }),
    ...(change.stages === undefined
      ? {}
      : { stages: change.stages.map((stage) => maskedStage(stage, mask)) }),
  };
}

/** The same of one stage. */
export function maskedStage<T extends Partial<StageRun>>(change: T, mask: Mask): T {
  if (change.attempts === undefined) return change;
  const attempts = change.attempts.map((attempt) => ({
    ...attempt,
    reason: attempt.reason === undefined ? undefined : mask(attempt.reason),
    lastLines: maskedLines(attempt.lastLines, mask),
  }));
  return { ...change, attempts };
}

/** Masked as one text, for a value may have several lines. */
export function maskedLines(lines: readonly string[], mask: Mask): readonly string[] {
  return lines.length === 0 ? lines : mask(lines.join("\n")).split("\n");
}
