/**
 * The rule in its slowest form, to compare with: the clock on the wall is looked at in every minute, one after the other.
 * Shares no code with what it checks.
 */

/** One minute on the wall. */
export interface WallMinute {
  /** As if in UTC, in minutes since 1970. */
  readonly number: number;
  readonly minute: number;
  readonly hour: number;
  readonly dayOfMonth: number;
  readonly month: number;
  readonly dayOfWeek: number;
}

export interface Look extends WallMinute {
  /** Minutes since 1970, UTC. */
  readonly time: number;
  /** It has been on the clock before. */
  readonly again: boolean;
  /** The minutes that the clock has jumped over just before. */
  readonly passedOver: readonly WallMinute[];
}

const minute = 60_000;
/** No zone has changed its clocks but at a quarter of an hour since 1980. */
const quarter = 15 * minute;

/** Every minute of a stretch of time in a zone, with a look at the two days before, for what has been on the clock. */
export function lookAtClock(timezone: string, from: Date, until: Date): readonly Look[] {
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone: timezone,
    dateStyle: "short",
    timeStyle: "medium",
    hourCycle: "h23",
  });
  const looks: Look[] = [];
  const seen = new Set<number>();
  let last: number | undefined;
  for (let start = from.getTime() - 2 * 86_400_000; start <= until.getTime(); start += quarter) {
    // `29/03/2026, 03:00:00`
    const [day = 0, month = 0, year = 0, hour = 0, minutes = 0] = (
      format.format(start).match(/\d+/g) ?? []
    ).map(Number);
    const shown = Date.UTC(year, month - 1, day, hour, minutes) / minute;
    for (let past = 0; past < 15; past += 1) {
      const number = shown + past;
      const passedOver: WallMinute[] = [];
      for (let skipped = (last ?? number - 1) + 1; skipped < number; skipped += 1) {
        passedOver.push(wallMinute(skipped));
      }
      const time = start / minute + past;
      if (time > from.getTime() / minute && time <= until.getTime() / minute) {
        looks.push({ ...wallMinute(number), time, again: seen.has(number), passedOver });
      }
      seen.add(number);
      last = number;
    }
  }
  return looks;
}

function wallMinute(number: number): WallMinute {
  const date = new Date(number * minute);
  return {
    number,
    minute: date.getUTCMinutes(),
    hour: date.getUTCHours(),
    dayOfMonth: date.getUTCDate(),
    month: date.getUTCMonth() + 1,
    dayOfWeek: date.getUTCDay(),
  };
}

/** What a schedule means, besides its text. */
export interface Meaning {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly daysOfMonth: readonly number[];
  readonly months: readonly number[];
  readonly daysOfWeek: readonly number[];
  readonly eitherDay: boolean;
}

/** Minutes since 1970, UTC. */
export function dueMinutes(looks: readonly Look[], meaning: Meaning): readonly number[] {
  const everyHour = meaning.hours.length === 24;
  const table = {
    minutes: flags(meaning.minutes),
    hours: flags(meaning.hours),
    daysOfMonth: flags(meaning.daysOfMonth),
    months: flags(meaning.months),
    daysOfWeek: flags(meaning.daysOfWeek),
    eitherDay: meaning.eitherDay,
  };
  const due: number[] = [];
  for (const look of looks) {
    const isDue =
      (matches(look, table) && (everyHour || !look.again)) ||
      (look.passedOver.length > 0 && look.passedOver.some((skipped) => matches(skipped, table)));
    if (isDue) due.push(look.time);
  }
  return due;
}

function matches(wall: WallMinute, table: Table): boolean {
  if (!table.minutes[wall.minute] || !table.hours[wall.hour] || !table.months[wall.month]) return false;
  const ofMonth = table.daysOfMonth[wall.dayOfMonth] === true;
  const ofWeek = table.daysOfWeek[wall.dayOfWeek] === true;
  return table.eitherDay ? ofMonth || ofWeek : ofMonth && ofWeek;
}

type Table = { readonly [Key in keyof Meaning]: Meaning[Key] extends boolean ? boolean : readonly boolean[] };

function flags(values: readonly number[]): readonly boolean[] {
  return Array.from({ length: 60 }, (_, value) => values.includes(value));
}
