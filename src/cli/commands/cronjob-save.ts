import { cronjobName } from "../../core/cron/cronjob-name.ts";
import { nextDueTimes } from "../../core/cron/due-times.ts";
import { parseSchedule } from "../../core/cron/parse-schedule.ts";
import { zonedText } from "../../core/cron/time-zone.ts";
import { nameDisagrees, scheduleInWords } from "../../core/cron/words.ts";
import { Failure } from "../../core/failure.ts";
import type { Cronjob, CronjobSpec } from "../../core/job-state.ts";
import type {
  CronjobChange,
  Operations,
  RepositoryCredentials,
  SavedCronjob,
} from "../../operations/operations.ts";
import type { CliIo } from "../cli-io.ts";
import type { CommandContext, CommandHandler, CommandInput } from "../command-spec.ts";
import { cronjobRecord } from "../job-records.ts";
import { announceEngine, notice, outputFormat, printResult } from "../output.ts";
import { printableText } from "../printable-text.ts";
import { readKeyOption, withWholePath } from "./deploy-request.ts";
import { orRefused } from "./refusal.ts";

/** `create cronjob GIT_URL`. What it means is told on standard error: in words, and the next times. */
export const createCronjob: CommandHandler = (input, context) =>
  save("Created", input, context, (operations, credentials) =>
    operations.createCronjob(newCronjob(input), credentials),
  );

/** `update cronjob GIT_URL`. */
export const updateCronjob: CommandHandler = (input, context) =>
  save("Updated", input, context, async (operations, credentials) => {
    const name = cronjobName(input.text("name") ?? "");
    const [before] = await operations.cronjobs({ name });
    if (before === undefined) throw new Failure("not-found", `Could not find cronjob=${name}`);
    return operations.updateCronjob(name, changeOf(input, before), credentials);
  });

async function save(
  done: "Created" | "Updated",
  input: CommandInput,
  context: CommandContext,
  act: (operations: Operations, credentials: RepositoryCredentials | undefined) => Promise<SavedCronjob>,
): Promise<number> {
  const { io, wiring } = context;
  await announceEngine(io, wiring);
  const keyFile = given(input, "ssh");
  const credentials =
    keyFile === undefined ? undefined : await readKeyOption(keyFile, input.required("GIT_URL"), context);
  return orRefused(input, io, async () => {
    const cronjob = await act(await wiring.operations(), credentials).catch((error: unknown) => {
      throw withWholePath(error, input.required("GIT_URL"), io);
    });
    await printResult(io, outputFormat(input), cronjobRecord(cronjob), ({ name }) =>
      printableText(`${done} cronjob=${name}\n`),
    );
    tellMeaning(cronjob, io);
    for (const warning of cronjob.warnings ?? []) notice(io, "warning", warning);
    return 0;
  });
}

/** An empty option is none, as in the original: scripts write --branch="$BRANCH". */
function given(input: CommandInput, option: string): string | undefined {
  return input.text(option) || undefined;
}

function newCronjob(input: CommandInput): CronjobSpec {
  return {
    name: cronjobName(input.text("name") ?? ""),
    schedule: input.text("schedule") ?? "",
    timezone: given(input, "timezone") ?? "UTC",
    request: {
      url: input.required("GIT_URL"),
      branch: given(input, "branch"),
      acceptHostKey: given(input, "accept-host-key"),
      strict: input.flag("strict"),
      group: given(input, "group"),
      startedBy: "cron",
    },
    retries: input.number("retries") ?? 1,
    historyLimit: input.number("history-limit") ?? 1,
    concurrency: oneOf(["forbid", "allow", "replace"], given(input, "concurrency")) ?? "forbid",
    catchUp: oneOf(["latest", "none", "all"], given(input, "catch-up")) ?? "latest",
    suspended: input.flag("suspend"),
  };
}

function changeOf(input: CommandInput, { request }: Cronjob): CronjobChange {
  return {
    schedule: given(input, "schedule"),
    timezone: given(input, "timezone"),
    request: {
      ...request,
      url: input.required("GIT_URL"),
      branch: given(input, "branch") ?? request.branch,
      acceptHostKey: given(input, "accept-host-key") ?? request.acceptHostKey,
      strict: input.choice("strict") ?? request.strict,
      group: given(input, "group") ?? request.group,
    },
    retries: input.number("retries"),
    historyLimit: input.number("history-limit"),
    concurrency: oneOf(["forbid", "allow", "replace"], given(input, "concurrency")),
    catchUp: oneOf(["latest", "none", "all"], given(input, "catch-up")),
    suspended: input.choice("suspend"),
  };
}

function oneOf<T extends string>(values: readonly T[], text: string | undefined): T | undefined {
  return values.find((value) => value === text);
}

/** Due times that are told in advance. */
const toldTimes = 3;

function tellMeaning(cronjob: Cronjob, io: CliIo): void {
  const { name, schedule: text, timezone, suspended } = cronjob;
  const { schedule } = parseSchedule(text);
  if (schedule === undefined) return; // A newer server may take what we can't read.
  const hint = timezone === "UTC" ? "; --timezone sets another" : "";
  notice(io, "info", `Schedule: ${scheduleInWords(text)} (time zone ${timezone}${hint})`);
  const next = nextDueTimes(schedule, timezone, new Date(io.now()), toldTimes);
  if (next.length === 0) {
    notice(io, "warning", `No day of the next five years is one of ${text}: nothing will be deployed.`);
  }
  if (suspended) {
    notice(io, "info", "It is suspended: due times are skipped until --no-suspend.");
  } else if (next.length > 0) {
    notice(io, "info", `Next: ${next.map((time) => zonedText(time, timezone)).join(", ")}`);
  }
  const warning = nameDisagrees(name, schedule);
  if (warning !== undefined) notice(io, "warning", warning);
}
