import { cronjobNameProblem } from "../../../core/cron/cronjob-name.ts";
import { parseSchedule } from "../../../core/cron/parse-schedule.ts";
import { isTimezone, nearTimezone } from "../../../core/cron/time-zone.ts";
import { asFailure, Failure } from "../../../core/failure.ts";
import type { CronjobSpec } from "../../../core/job-state.ts";
import { withoutCredentials } from "../../../core/url-credentials.ts";
import type { Source } from "../../../ports/source.ts";
import { ClusterError } from "../client/cluster.ts";

/** All that is wrong with a cronjob, the schedule first; in the words of this machine's engine. */
export function cronjobProblems(
  { name, schedule, timezone, request, retries, historyLimit }: CronjobSpec,
  hasKey: boolean,
  source: Pick<Source, "check">,
): readonly Failure[] {
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
    source.check(request.url);
  } catch (error) {
    problems.push(asFailure(error));
  }
  return [...problems, ...urlProblems(request.url)];
}

/** What a controller in the cluster must not be told: it would stand there for everybody to read. */
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

/** What the cluster refuses of a schedule or time zone that we would take, in the cluster's own words; else undefined. */
export function refusedByCluster(error: unknown, { schedule, timezone }: CronjobSpec): Failure | undefined {
  if (!(error instanceof ClusterError) || error.kind !== "invalid") return undefined;
  const details = error.causes.length > 0 ? error.causes : [error.message];
  const about = (field: string): boolean => details.some((line) => line.includes(field));
  if (about("spec.schedule")) {
    return new Failure("usage", `Invalid cronjob schedule: ${schedule}`, { details, cause: error });
  }
  if (about("spec.timeZone")) {
    return new Failure("usage", `Invalid time zone: ${timezone}`, {
      details,
      hint: "The cluster has a list of its own; UTC is always in it.",
      cause: error,
    });
  }
  return undefined;
}

/** As the cluster counts: in 32 bits. */
function isCount(number: number): boolean {
  return Number.isSafeInteger(number) && number >= 0 && number < 2 ** 31;
}
