import { cronjobName } from "../../core/cron/cronjob-name.ts";
import { zonedText } from "../../core/cron/time-zone.ts";
import { Failure } from "../../core/failure.ts";
import type { Job } from "../../core/job-state.ts";
import type { CronjobView, Operations } from "../../operations/operations.ts";
import type { CliIo, CliStream } from "../cli-io.ts";
import type { CommandHandler, CommandInput } from "../command-spec.ts";
import { between } from "../format.ts";
import { printJobLog } from "../job-log.ts";
import { cronjobViewRecord, jobRecord } from "../job-records.ts";
import { jobTable } from "../job-tables.ts";
import { notice, outputFormat, printResult, table } from "../output.ts";
import { orRefused } from "./refusal.ts";

/** Due times of a history, when it is not said how many. */
const shownDueTimes = 50;

/**
 * `get cronjob(s) [NAME]`: a list; with NAME that cronjob or its history; with `--logs` the log of a job, whose id needs no
 * NAME. Without NAME `--history` is passed over, as in the original. A list with nothing in it is an answer: 0.
 */
export const getCronjob: CommandHandler = (input, { io, wiring }) =>
  orRefused(input, io, async () => {
    const name = input.optional("NAME");
    const logs = input.text("logs") || undefined;
    if (name !== undefined && input.flag("history") && logs !== undefined) {
      notice(io, "warning", "--history and --logs are mutually exclusive: give one of them.");
      return 1;
    }
    const operations = await wiring.operations();
    const showsHistory = name !== undefined && input.flag("history");
    if (input.text("limit") !== undefined && !showsHistory) {
      notice(io, "info", "--limit is inactive here: it is for the --history of a cronjob.");
    }
    if (logs !== undefined) return printJobLog(logs, outputFormat(input), operations, io);
    if (name === undefined) {
      if (input.flag("history")) {
        notice(io, "info", "--history is inactive here: give the NAME of a cronjob, too.");
      }
      return list(input, operations, io);
    }
    const cronjob = await findCronjob(cronjobName(name), operations);
    if (showsHistory) return showHistory(cronjob, input, operations, io);
    await printResult(io, outputFormat(input), cronjobViewRecord(cronjob), () =>
      describeCronjob(io.stdout, cronjob),
    );
    return 0;
  });

async function list(input: CommandInput, operations: Operations, io: CliIo): Promise<number> {
  const views = await operations.cronjobs({});
  await printResult(io, outputFormat(input), views.map(cronjobViewRecord), () =>
    table(io.stdout, {
      title: "cronjobs",
      head: ["Name", "Git Repository URL", "Schedule", "Time Zone", "Next", "Last"],
      rows: views.map(({ name, request, schedule, timezone, suspended, nextTimes, lastJob }) => [
        name,
        request.url,
        schedule,
        timezone,
        suspended ? "suspended" : zoned(nextTimes[0], timezone),
        lastJob?.status ?? "",
      ]),
    }),
  );
  return 0;
}

async function findCronjob(name: string, operations: Operations): Promise<CronjobView> {
  const [found] = await operations.cronjobs({ name });
  if (found !== undefined) return found;
  const all = await operations.cronjobs({});
  throw new Failure("not-found", `Could not find cronjob=${name}`, {
    hint: all.length === 0 ? undefined : `There are: ${all.map((one) => one.name).join(", ")}`,
  });
}

/** The original's fields under its names, in its order, then ours. */
function describeCronjob(stream: CliStream, cronjob: CronjobView): string {
  const { request, timezone, nextTimes, lastJob } = cronjob;
  const next = nextTimes.map((time) => zoned(time, timezone)).join("\n");
  const fields: readonly (readonly [string, string])[] = [
    ["schedule", cronjob.schedule],
    ["last_scheduled_time", zoned(lastJob?.dueAt, "UTC") || "None"],
    ["retries", String(cronjob.retries)],
    ["git_url", request.url],
    ["git_branch", request.branch ?? "default"],
    ["timezone", timezone],
    ["in_words", cronjob.words],
    ["next_times", next || "None"],
    ["concurrency", cronjob.concurrency],
    ["catch_up", cronjob.catchUp],
    ["suspended", cronjob.suspended ? "True" : "False"],
    ["history_limit", String(cronjob.historyLimit)],
    ["secrets_group", request.group ?? "None"],
    ["last_job", lastJob === undefined ? "None" : `${lastJob.id} ${lastJob.status}`],
  ];
  return table(stream, {
    title: cronjob.name,
    head: ["Field", "Value"],
    rows: fields.map(([name, value]) => [name, value]),
  });
}

/** A table for each job that runs or whose runs are kept, then one of the due times. */
async function showHistory(
  cronjob: CronjobView,
  input: CommandInput,
  operations: Operations,
  io: CliIo,
): Promise<number> {
  const jobs = await operations.jobs({ cronjob: cronjob.name });
  const newest = jobs.slice(0, input.number("limit") ?? shownDueTimes);
  await printResult(io, outputFormat(input), newest.map(jobRecord), () => {
    const ran = jobs.filter(({ runs, status }) => runs.length > 0 || status === "active");
    return [
      ...ran.map((job) => jobTable(io.stdout, job, io.now())),
      describeDueTimes(io.stdout, newest, cronjob, io.now()),
    ].join("\n");
  });
  return 0;
}

function describeDueTimes(
  stream: CliStream,
  jobs: readonly Job[],
  { name, timezone }: CronjobView,
  now: number,
): string {
  return table(stream, {
    title: `due times of ${name}`,
    head: ["Due Time", "Outcome", "Late By", "Reason", "Run ID"],
    rows: jobs.map(({ id, dueAt, status, startedAt, why }) => [
      zoned(dueAt, timezone),
      startedAt === undefined ? status : `ran, ${status}`,
      startedAt === undefined ? "" : between(dueAt, startedAt, now),
      why ?? "",
      id,
    ]),
  });
}

/** Of an ISO time; empty when there is none. */
function zoned(time: string | undefined, timezone: string): string {
  return time === undefined ? "" : zonedText(new Date(time), timezone);
}
