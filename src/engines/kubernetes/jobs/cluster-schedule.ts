import { dueTimesBetween } from "../../../core/cron/due-times.ts";
import { parseSchedule, type Schedule } from "../../../core/cron/parse-schedule.ts";
import { evenStretches, zonedText } from "../../../core/cron/time-zone.ts";
import type { CronjobSpec } from "../../../core/job-state.ts";

/** Milliseconds. */
const day = 86_400_000;
const fiveYears = 5 * 366;

/**
 * The next due times after `after` as Kubernetes has them, `count` at most, of the next five years: every moment at which
 * the clock on the wall shows what the schedule says. Where the clocks are changed it differs from ours: what they pass
 * over never comes, and what they show twice comes twice.
 */
export function clusterDueTimes(
  schedule: Schedule,
  timezone: string,
  after: Date,
  count: number,
): readonly Date[] {
  const until = new Date(after.getTime() + fiveYears * day);
  return [...clusterTimesBetween(schedule, timezone, after, until).take(count)];
}

/** Those after `after`, up to and with `until`. */
function* clusterTimesBetween(
  schedule: Schedule,
  timezone: string,
  after: Date,
  until: Date,
): Generator<Date, undefined> {
  for (const stretch of evenStretches(timezone, after.getTime())) {
    if (stretch.from > until.getTime()) return;
    // While the clock goes evenly it is that of UTC, put forward.
    const begin = Math.max(stretch.from - 1, after.getTime()) + stretch.offset;
    const end = Math.min(stretch.until - 1, until.getTime()) + stretch.offset;
    for (const shown of dueTimesBetween(schedule, "UTC", new Date(begin), new Date(end))) {
      yield new Date(shown.getTime() - stretch.offset);
    }
  }
}

/** What the cluster makes of a cronjob within a year that this machine's engine would do otherwise, one sentence each. */
export function yearlyDifferences(
  spec: Pick<CronjobSpec, "schedule" | "timezone" | "catchUp">,
  now: Date,
): readonly string[] {
  const { schedule } = parseSchedule(spec.schedule);
  return [
    ...(schedule === undefined ? [] : clockChanges(schedule, spec.timezone, now)),
    ...catchUpDifference(spec),
  ];
}

/** Of the next year: the first time of each kind. */
function clockChanges(schedule: Schedule, timezone: string, now: Date): readonly string[] {
  const lost: Date[] = [];
  const twice: Date[] = [];
  for (const time of changesOfYear(timezone, now)) {
    const [begin, end] = [new Date(time.getTime() - day), new Date(time.getTime() + day)];
    const ours = dueTimesBetween(schedule, timezone, begin, end);
    const theirs = [...clusterTimesBetween(schedule, timezone, begin, end)];
    lost.push(...without(ours, theirs).slice(0, 1));
    twice.push(...without(theirs, ours).slice(0, 1));
  }
  return [
    ...lost
      .slice(0, 1)
      .map(
        (time) =>
          `The clocks of ${timezone} pass over a time of this schedule, next right before ${zonedText(time, timezone)}: Kubernetes leaves it out.`,
      ),
    ...twice
      .slice(0, 1)
      .map(
        (time) =>
          `The clocks of ${timezone} show a time of this schedule twice, the second time next at ${zonedText(time, timezone)}: Kubernetes deploys at both.`,
      ),
  ];
}

function changesOfYear(timezone: string, now: Date): readonly Date[] {
  const changes: Date[] = [];
  let before: number | undefined;
  for (const { from, offset } of evenStretches(timezone, now.getTime())) {
    if (from > now.getTime() + 366 * day) break;
    if (before !== undefined && before !== offset) changes.push(new Date(from));
    before = offset;
  }
  return changes;
}

function without(times: readonly Date[], others: readonly Date[]): readonly Date[] {
  const known = new Set(others.map((time) => time.getTime()));
  return times.filter((time) => !known.has(time.getTime()));
}

function catchUpDifference({ catchUp }: Pick<CronjobSpec, "catchUp">): readonly string[] {
  if (catchUp !== "all") return [];
  return [
    "Kubernetes makes up for no more than the newest of the due times that passed while it could not start them: --catch-up all is latest there.",
  ];
}

/**
 * What a change makes the cluster do at once: a due time of the changed schedule that lies in the past counts as missed,
 * and so do those that passed while it was suspended. Undefined when there is none.
 */
export function startsAtOnce(
  before: CronjobSpec,
  after: CronjobSpec,
  { since, now }: { readonly since: Date; readonly now: Date },
): string | undefined {
  const isSame = before.schedule === after.schedule && before.timezone === after.timezone;
  if (after.suspended || after.catchUp === "none" || (isSame && !before.suspended)) return undefined;
  const { schedule } = parseSchedule(after.schedule);
  if (schedule === undefined) return undefined;
  let newest: Date | undefined;
  for (const time of clusterTimesBetween(schedule, after.timezone, since, now)) newest = time;
  if (newest === undefined) return undefined;
  return `Kubernetes makes up for ${zonedText(newest, after.timezone)} at once: by this schedule it was missed. With --catch-up none it would not be.`;
}
