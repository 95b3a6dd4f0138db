import { finishedJobStatuses, type Job } from "../core/job-state.ts";
import type { CliStream } from "./cli-io.ts";
import { between, time } from "./format.ts";
import { table } from "./output.ts";

/** One job of a history: the original's fields under its names, in its order, then ours. Whole lines. */
export function jobTable(stream: CliStream, job: Job, now: number): string {
  const { status, startedAt, endedAt, dueAt } = job;
  const original: readonly (readonly [string, string])[] = [
    ["start_time", time(startedAt) || "None"],
    ["completion_time", time(startedAt === undefined ? undefined : endedAt) || "None"],
    ["active", yesOrNo(!finishedJobStatuses.has(status))],
    ["succeeded", yesOrNo(status === "succeeded")],
    ["failed", yesOrNo(status === "failed" || status === "cancelled")],
  ];
  const ours: readonly (readonly [string, string | undefined])[] = [
    ["status", status],
    ...(job.cronjob === undefined
      ? ([
          ["git_url", job.request.url],
          ["git_branch", job.request.branch ?? "default"],
        ] as const)
      : ([
          ["due_time", time(dueAt)],
          ["late_by", startedAt && between(dueAt, startedAt, now)],
        ] as const)),
    ["duration", startedAt && between(startedAt, endedAt, now)],
    ["runs", job.runs.join("\n")],
    ["next_run_time", time(job.nextRunAt)],
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

function yesOrNo(value: boolean): string {
  return value ? "True" : "False";
}
