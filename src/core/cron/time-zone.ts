import { nearName } from "../near-name.ts";

/** Milliseconds. */
const day = 86_400_000;

/** A stretch of time in which the clock on the wall goes evenly. Milliseconds since 1970, UTC. */
export interface EvenStretch {
  readonly from: number;
  /** Not in it. */
  readonly until: number;
  /** What the clock on the wall is ahead of UTC. */
  readonly offset: number;
}

/** Whether the text is the IANA name of a time zone, in its own spelling (`Europe/Berlin`); offsets (`+02:00`) are not. */
export function isTimezone(text: string): boolean {
  if (!/^[A-Za-z]/.test(text)) return false;
  try {
    // Names of files on a cluster's nodes: `europe/berlin`, which Intl takes, is not there.
    const known = new Intl.DateTimeFormat("en", { timeZone: text }).resolvedOptions().timeZone;
    return known === text || known.toLowerCase() !== text.toLowerCase();
  } catch {
    return false;
  }
}

/** The time zone that a mistyped name was likely meant to be; undefined when none is near. */
export function nearTimezone(text: string): string | undefined {
  return nearName(text, ["UTC", ...Intl.supportedValuesOf("timeZone")]);
}

/** The time on the wall with its offset: `2026-03-29 03:00:00+02:00`. */
export function zonedText(time: Date, timezone: string): string {
  const offset = offsetAt(time.getTime(), timezone);
  const wall = new Date(time.getTime() + offset).toISOString();
  const minutes = Math.round(Math.abs(offset) / 60_000);
  const two = (number: number): string => String(number).padStart(2, "0");
  const sign = offset < 0 ? "-" : "+";
  return `${wall.slice(0, 10)} ${wall.slice(11, 19)}${sign}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** The stretches from the one that `from` is in, without an end; none is longer than a day. */
export function* evenStretches(timezone: string, from: number): Generator<EvenStretch, never> {
  const known = knownDays(timezone);
  for (let number = Math.floor(from / day); ; number += 1) {
    const { offset, change } = known.of(number);
    const [start, end] = [number * day, (number + 1) * day];
    if (change === undefined) {
      yield { from: start, until: end, offset };
      continue;
    }
    if (from < change) yield { from: start, until: change, offset };
    yield { from: change, until: end, offset: known.of(number + 1).offset };
  }
}

interface KnownDay {
  /** At its beginning, UTC. */
  readonly offset: number;
  /** When the clocks are changed on it. Twice on one day in UTC has happened nowhere. */
  readonly change: number | undefined;
}

/** Asking Intl is slow, so each day of each zone is asked about once. */
const days = new Map<string, Map<number, KnownDay>>();
const mostDays = 20_000;

function knownDays(timezone: string): { of(number: number): KnownDay } {
  const known = days.get(timezone) ?? new Map<number, KnownDay>();
  days.set(timezone, known);
  return {
    of(number) {
      const found = known.get(number);
      if (found !== undefined) return found;
      const [start, end] = [number * day, (number + 1) * day];
      const offset = offsetAt(start, timezone);
      const change = offsetAt(end, timezone) === offset ? undefined : changeBetween(start, end, timezone);
      if (known.size >= mostDays) known.clear();
      known.set(number, { offset, change });
      return { offset, change };
    },
  };
}

/** The first second with another offset than `start`; `end` has another. */
function changeBetween(start: number, end: number, timezone: string): number {
  const offset = offsetAt(start, timezone);
  let [before, after] = [start / 1_000, end / 1_000];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (offsetAt(middle * 1_000, timezone) === offset) before = middle;
    else after = middle;
  }
  return after * 1_000;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** What the clock on the wall is ahead of UTC, in milliseconds. */
function offsetAt(time: number, timezone: string): number {
  const format =
    formats.get(timezone) ??
    new Intl.DateTimeFormat("en-US", {
      timeZone: timezone,
      calendar: "gregory",
      numberingSystem: "latn",
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
    });
  formats.set(timezone, format);
  const second = Math.floor(time / 1_000) * 1_000;
  // `03/29/2026, 03:00:00`
  const [month, date, year, hour, minute, seconds] = (format.format(second).match(/\d+/g) ?? []).map(Number);
  return Date.UTC(year ?? 0, (month ?? 0) - 1, date, hour, minute, seconds) - second;
}
