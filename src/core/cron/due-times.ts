import type { Schedule } from "./parse-schedule.ts";
import { evenStretches } from "./time-zone.ts";

/** Milliseconds. */
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const fiveYears = 5 * 366 * day;

/** The first due time after `after`; undefined when there is none within five years (30 February). */
export function nextDueTime(schedule: Schedule, timezone: string, after: Date): Date | undefined {
  const [next] = dueTimes(schedule, timezone, after.getTime(), after.getTime() + fiveYears);
  return next === undefined ? undefined : new Date(next);
}

/** The next due times, `count` at most: fewer when there is none within five years of the one before. */
export function nextDueTimes(
  schedule: Schedule,
  timezone: string,
  after: Date,
  count: number,
): readonly Date[] {
  const next = count > 0 ? nextDueTime(schedule, timezone, after) : undefined;
  return next === undefined ? [] : [next, ...nextDueTimes(schedule, timezone, next, count - 1)];
}

/** The due times after `after`, up to and with `until`, oldest first. */
export function dueTimesBetween(
  schedule: Schedule,
  timezone: string,
  after: Date,
  until: Date,
): readonly Date[] {
  return Array.from(dueTimes(schedule, timezone, after.getTime(), until.getTime()), (time) => new Date(time));
}

/**
 * Every time that the clock on the wall shows what the schedule says, and where the clocks are changed:
 *
 * - of the times that they pass over, once the first whole minute after them, however many there were;
 * - of the times that come twice, the first one; both when the schedule has every hour of the day, for then it is about
 *   time that passes.
 */
function* dueTimes(schedule: Schedule, timezone: string, after: number, until: number): Generator<number> {
  const bothTimes = schedule.hours.length === 24;
  let last = after;
  /** The latest time that the clock on the wall has shown; it begins a day early to know what it has shown before. */
  let shown: number | undefined;
  for (const { from, until: end, offset } of evenStretches(timezone, after - day)) {
    if (from > until) return;
    const begin = from + offset;
    if (shown !== undefined && shown < begin && hasAny(wallTimes(schedule, shown, begin))) {
      const first = Math.ceil(begin / minute) * minute - offset;
      if (first > until) return;
      if (first > last) {
        last = first;
        yield first;
      }
    }
    const anew = bothTimes || shown === undefined ? begin : Math.max(begin, shown);
    for (const wall of wallTimes(schedule, Math.max(anew, last + offset + 1), end + offset)) {
      if (wall - offset > until) return;
      last = wall - offset;
      yield last;
    }
    shown = Math.max(shown ?? Number.NEGATIVE_INFINITY, end + offset);
  }
}

/** The times on the wall from `from` to before `until` that the schedule names; both as if in UTC, in milliseconds. */
function* wallTimes(schedule: Schedule, from: number, until: number): Generator<number> {
  for (let midnight = Math.floor(from / day) * day; midnight < until; midnight += day) {
    if (!isDay(schedule, new Date(midnight))) continue;
    for (const hours of schedule.hours) {
      const start = midnight + hours * hour;
      if (start + hour <= from) continue;
      for (const minutes of schedule.minutes) {
        const wall = start + minutes * minute;
        if (wall >= until) return;
        if (wall >= from) yield wall;
      }
    }
  }
}

function isDay({ months, daysOfMonth, daysOfWeek, eitherDay }: Schedule, date: Date): boolean {
  if (!months.has(date.getUTCMonth() + 1)) return false;
  const ofMonth = daysOfMonth.has(date.getUTCDate());
  const ofWeek = daysOfWeek.has(date.getUTCDay());
  return eitherDay ? ofMonth || ofWeek : ofMonth && ofWeek;
}

function hasAny(times: Iterable<number>): boolean {
  for (const _ of times) return true;
  return false;
}
