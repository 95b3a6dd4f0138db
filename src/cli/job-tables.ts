import { finishedJobStatuses, type Job } from "../core/job-state.ts";
import type { CliStream } from "./cli-io.ts";
import { between, time } from "./format.ts";
import { table } from "./output.ts";

/** One job of a history: the original's fields under its names, in its order, then ours. Whole lines. */
export function jobTable(stream: CliStream, job: Job, now: number): string {
  const { status, startedAt, endedAt, dueAt } = job;
  const original: readonly (readonly [string, string])[] = [
    ["start_time", utc(startedAt) ?? "None"],
    ["completion_time", utc(startedAt === undefined ? undefined : endedAt) ?? "None"],
    ["active", yesOrNo(!finishedJobStatuses.has(status))],
    ["succeeded", yesOrNo(status === "succeeded")],
    ["failed", yesOrNo(status === "failed" || status === "cancelled")],
  ];
  const ours: readonly (readonly [string, string | undefined])[] = [
    ["status", status],
    ["due_time", utc(dueAt)],
    ["late_by", startedAt && between(dueAt, startedAt, now)],
    ["duration", startedAt && between(startedAt, endedAt, now)],
    ["runs", job.runs.join("\n")],
    ["next_run_time", utc(job.nextRunAt)],
    ["reason", job.why],
  ];
  return table(stream, {
    title: `run ID = ${job.id}`,
    head: ["Field", "Value"],
    rows: [...original, ...ours].flatMap(([name, value]) =>
      value === undefined || value === "" ? [] : [[name, value]],
    ),
  });
}

/** As the original writes times: `2026-11-23 19:05:12+00:00`. */
function utc(iso: string | undefined): string | undefined {
  return iso === undefined ? undefined : `${time(iso)}+00:00`;
}

function yesOrNo(value: boolean): string {
  return value ? "True" : "False";
}
