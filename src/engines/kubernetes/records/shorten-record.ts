import type { Run, RunEvent, StageRun } from "../../../core/run-state.ts";
import type { RecordContent, RunContent } from "./record-content.ts";

/** The content, then forms of it that are shorter each, for as long as one may be needed. */
export function* shorterForms(content: RecordContent): Generator<RecordContent> {
  yield content;
  if (content.kind !== "run") return;
  let short: RunContent = content;
  for (let kept = content.events.length >> 1; kept > 0; kept >>= 1) {
    short = { ...content, events: newestEvents(content.events, kept) };
    yield short;
  }
  for (const shortened of [withoutOldLines, withoutLines]) {
    if (short.run === undefined) return;
    short = { ...short, run: shortened(short.run) };
    yield short;
  }
}

/** The newest `kept`, and in place of the last of the others one that says so. */
function newestEvents(events: readonly RunEvent[], kept: number): readonly RunEvent[] {
  const last = events[events.length - kept - 1];
  if (last === undefined || last.kind === "log") return events;
  const { seq, at } = last;
  return [
    { kind: "notice", seq, at, level: "warning", text: `What was told before this is not kept: ${why}.` },
    ...events.slice(-kept),
  ];
}

const why = "a record in the cluster has room for 900 KiB";
const note = `(not kept: ${why})`;
const keptDetails = 20;

/** Last lines are those of each stage's newest attempt. */
function withoutOldLines(run: Run): Run {
  return withLines(run, (stage, index) => index === stage.attempts.length - 1);
}

function withoutLines(run: Run): Run {
  const { details } = run;
  return {
    ...withLines(run, () => false),
    details: details.length <= keptDetails ? details : [note, ...details.slice(-keptDetails)],
  };
}

function withLines(run: Run, isKept: (stage: StageRun, index: number) => boolean): Run {
  return {
    ...run,
    stages: run.stages.map((stage) => ({
      ...stage,
      attempts: stage.attempts.map((attempt, index) =>
        attempt.lastLines.length === 0 || isKept(stage, index) ? attempt : { ...attempt, lastLines: [note] },
      ),
    })),
  };
}
