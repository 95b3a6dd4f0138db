import { Failure } from "../core/failure.ts";
import { meantJobId } from "../core/job-name.ts";
import type { Run, RunEvent, StageRun } from "../core/run-state.ts";
import type { ViewParts } from "./views.ts";

/**
 * `Views.jobLog`: what happened in a job's newest run, in order, with the log of each stage where it ended; of a stage
 * that goes on, what there is of it at the end.
 */
export async function* readJobLog(
  id: string,
  parts: Pick<ViewParts, "read" | "logs">,
): AsyncIterable<RunEvent> {
  const { run, events } = newestRun(id, parts);
  const unread = new Map(run.stages.map((stage) => [stage.node, stage]));
  for (const event of events) {
    const ended = event.kind === "stage" && endings.has(event.status) ? unread.get(event.node) : undefined;
    if (ended !== undefined) {
      unread.delete(ended.node);
      yield* logsOf(ended, event.at, run, parts);
    }
    yield event;
  }
  const at = events.at(-1)?.at ?? run.createdAt;
  for (const stage of unread.values()) yield* logsOf(stage, at, run, parts);
}

const endings: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled"]);

function newestRun(id: string, { read }: Pick<ViewParts, "read">) {
  const found = read((store) => {
    const job = store.job(id) ?? store.job(meantJobId(id));
    const run = job?.runs.map((runId) => store.run(runId)).findLast((known) => known !== undefined);
    return { job, run, events: run === undefined ? [] : store.events(run.id, 0) };
  }, undefined);
  const { job, run, events } = found ?? {};
  if (run !== undefined && events !== undefined) return { run, events };
  const why =
    job === undefined
      ? "there is no such run"
      : job.startedAt === undefined
        ? `it is ${job.status}${job.why === undefined ? "" : ` (${job.why})`}`
        : "its history is not kept any more";
  throw new Failure("not-found", `Cannot find run ID = ${id}: ${why}.`, {
    hint: "List them with: bodywork get deployments --async, or bodywork get cronjob NAME --history",
  });
}

/** Characters of a service's log that are shown: it goes on long after the run, whose part is the beginning. */
const mostOfService = 64 * 1024;

async function* logsOf(
  { node, stage, kind, attempts }: StageRun,
  at: string,
  { deployment = "NAME" }: Run,
  parts: Pick<ViewParts, "logs">,
): AsyncIterable<RunEvent> {
  for (const { source, reference } of attempts.flatMap(({ logs }) => logs)) {
    const log = (text: string): RunEvent => ({ kind: "log", at, node, source, text });
    let left = kind === "service" ? mostOfService : Number.POSITIVE_INFINITY;
    for await (const text of parts.logs.read(reference, { follow: false })) {
      if (text.length > left) {
        yield log(`${text.slice(0, left)}\n[… the rest is in: bodywork logs ${deployment} ${stage}]\n`);
        break;
      }
      yield log(text);
      left -= text.length;
    }
  }
}
