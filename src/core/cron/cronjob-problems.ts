import { asFailure, Failure } from "../failure.ts";
import type { CronjobSpec } from "../job-state.ts";
import { withoutCredentials } from "../url-credentials.ts";
import { cronjobNameProblem } from "./cronjob-name.ts";
import { parseSchedule } from "./parse-schedule.ts";
import { isTimezone, nearTimezone } from "./time-zone.ts";

/** What the check of a cronjob depends on besides what was asked for. */
export interface CronjobCheck {
  /** An ssh key came with it, to be kept. */
  readonly hasKey: boolean;
  /** Throws for what can't be the address of a repository. */
  readonly checkUrl: (url: string) => void;
  /** The largest number of retries, and of jobs that are kept, that the engine can count. */
  readonly mostCount?: number;
}

/** All that is wrong with a cronjob, the schedule first. */
export function cronjobProblems(
  { name, schedule, timezone, request, retries, historyLimit }: CronjobSpec,
  { hasKey, checkUrl, mostCount = Number.MAX_SAFE_INTEGER }: CronjobCheck,
): readonly Failure[] {
  const isCount = (number: number): boolean =>
    Number.isSafeInteger(number) && number >= 0 && number <= mostCount;
  const problems: Failure[] = [];
  const usage = (message: string, more: ConstructorParameters<typeof Failure>[2] = {}): void => {
    problems.push(new Failure("usage", message, more));
  };
  const parsed = parseSchedule(schedule);
  if (parsed.schedule === undefined) {
    usage(`Invalid cronjob schedule: ${schedule}`, { details: parsed.problems });
  }
  if (!isTimezone(timezone)) {
    const near = nearTimezone(timezone);
    usage(`Invalid time zone: ${timezone}`, {
      hint: near === undefined ? "Use an IANA name, such as Europe/Berlin." : `Did you mean ${near}?`,
    });
  }
  const nameProblem = cronjobNameProblem(name);
  if (nameProblem !== undefined) usage(`Invalid cronjob name: ${name} ${nameProblem}`);
  if (!isCount(retries)) usage(`Invalid number of retries: ${retries}`);
  if (!isCount(historyLimit)) usage(`Invalid history limit: ${historyLimit}`);
  if (hasKey && request.group === undefined) {
    usage("The ssh key has no secrets group to be kept in", { hint: "Please specify one with --group." });
  }
  try {
    checkUrl(request.url);
  } catch (error) {
    problems.push(asFailure(error));
  }
  return [...problems, ...urlProblems(request.url)];
}

/** What a job that runs later must not be told: it would be kept. */
export function urlProblems(url: string): readonly Failure[] {
  if (withoutCredentials(url) === url) return [];
  return [
    new Failure("repository-url", "The URL has credentials in it, which are not kept for later runs", {
      hint: "Use an ssh URL, with --ssh and --group.",
    }),
  ];
}

/** One problem as it is; of several the first, with the others below it. */
export function refuseCronjob(verb: "create" | "update", name: string, problems: readonly Failure[]): void {
  const [first, ...others] = problems;
  if (first === undefined) return;
  if (others.length === 0) throw first;
  throw new Failure(first.code, first.message, {
    hint: first.hint,
    details: [
      ...first.details,
      `This too keeps from the ${verb === "create" ? "creation" : "update"} of cronjob=${name}:`,
      ...others.flatMap(({ message, details, hint }) => [
        message,
        ...details,
        ...(hint === undefined ? [] : [hint]),
      ]),
    ],
    cause: first,
  });
}
