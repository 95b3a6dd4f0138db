import type { Failure } from "../core/failure.ts";
import { createMask } from "../core/mask.ts";
import { printable } from "../core/printable.ts";
import { finishedRunStatuses, type Run, type RunEvent, type StageRun } from "../core/run-state.ts";
import type { SecretValue } from "../core/secret-value.ts";
import type { Clock } from "../ports/clock.ts";
import type { NewRunEvent, RunStore } from "../ports/run-store.ts";
import { maskedLines, maskedRun, maskedStage } from "./mask-record.ts";
import type { RunFeed } from "./run-feed.ts";

/**
 * The only writer of one run's record while it is carried out: every change is stored before anybody is told of it.
 * Texts lose what is hidden before they are stored or told.
 */
export interface RunRecorder {
  readonly run: Run;
  /** From now on these values are masked in every text: reasons, details, notices, last lines. */
  hide(values: readonly SecretValue[]): void;
  /** Stores the change; a new status is told as an event. */
  update(change: Partial<Omit<Run, "id">>): void;
  addStage(stage: StageRun): void;
  stage(node: string): StageRun;
  /** `ofRun` is stored in the same step. A new status is told as an event. */
  updateStage(
    node: string,
    change: Partial<Omit<StageRun, "node">>,
    ofRun?: Partial<Omit<Run, "id" | "status" | "stages">>,
  ): void;
  notice(level: "info" | "warning" | "error", text: string, details?: readonly string[]): void;
  tellStage(node: string, status: Extract<RunEvent, { kind: "stage" }>["status"], text?: string): void;
  /** A log that followers of the run see as it is written; returns what to call when it is complete. */
  tellLog(node: string, source: string, reference: string): () => void;
  /** Text for followers that is in no log. */
  tellText(node: string, source: string, text: string): void;
  now(): string;
}

export function recordRun(initial: Run, store: RunStore, feed: RunFeed, clock: Clock): RunRecorder {
  let run = initial;
  let hidden: readonly SecretValue[] = [];
  let mask = createMask(hidden);
  const save = (next: Run, told?: NewRunEvent): void => {
    const stored = store.saveRun(next, told === undefined ? undefined : { event: told, at: clock.now() });
    run = next;
    if (stored !== undefined) feed.publish(run.id, stored);
  };
  const event = (added: NewRunEvent): void =>
    feed.publish(run.id, store.addEvent(run.id, added, clock.now()));
  const stageOf = (node: string): StageRun => {
    const found = run.stages.find((stage) => stage.node === node);
    if (found === undefined) throw new Error(`run ${run.id} has no stage ${node}`);
    return found;
  };

  return {
    get run() {
      return run;
    },
    hide(values) {
      hidden = [...hidden, ...values];
      mask = createMask(hidden);
    },
    update(change) {
      const next = { ...run, ...maskedRun(change, mask) };
      if (next.status === run.status) {
        save(next);
        return;
      }
      const { status, reason } = next;
      save(next, { kind: "run", status, ...(reason === undefined ? {} : { reason }) });
      if (finishedRunStatuses.has(status)) feed.finish(run.id);
    },
    addStage: (stage) => save({ ...run, stages: [...run.stages, maskedStage(stage, mask)] }),
    stage: stageOf,
    updateStage(node, change, ofRun = {}) {
      const before = stageOf(node).status;
      const stages = run.stages.map((stage) =>
        stage.node === node ? { ...stage, ...maskedStage(change, mask) } : stage,
      );
      const { status } = change;
      const told =
        status === undefined || status === before ? undefined : { kind: "stage" as const, node, status };
      save({ ...run, ...maskedRun(ofRun, mask), stages }, told);
    },
    notice: (level, text, details) =>
      event({
        kind: "notice",
        level,
        text: printable(mask(text)),
        ...(details === undefined
          ? {}
          : { details: maskedLines(details, mask).map((line) => printable(line)) }),
      }),
    tellStage: (node, status, text) =>
      event({ kind: "stage", node, status, ...(text === undefined ? {} : { text: mask(text) }) }),
    tellLog: (node, source, reference) => feed.follow(run.id, { node, source, reference }),
    tellText: (node, source, text) =>
      feed.publish(run.id, { kind: "log", at: clock.now().toISOString(), node, source, text: mask(text) }),
    now: () => clock.now().toISOString(),
  };
}

/** What a run's record says of the failure that it ends by. */
export function storyOf(failure: Failure): Pick<Run, "reason" | "code" | "details" | "hint"> {
  const { message, code, details, hint } = failure;
  return { reason: message, code, details, hint };
}
