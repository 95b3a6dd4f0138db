import { expect, test } from "vitest";
import { dueTimesBetween, nextDueTime } from "../../../src/core/cron/due-times.ts";
import { parseSchedule, type Schedule } from "../../../src/core/cron/parse-schedule.ts";
import { createRandom, type Random } from "../../support/random.ts";
import { seed, times } from "../../support/soak.ts";
import { dueMinutes, lookAtClock, type Meaning } from "./golden/minute-by-minute.ts";

const zones = [
  "Europe/Berlin",
  "America/New_York",
  "Australia/Lord_Howe",
  "America/Sao_Paulo",
  "Pacific/Apia",
];
const day = 86_400_000;

test("500 cronjobs over a year in five zones fire when a look at the clock in every minute says so", {
  timeout: 240_000,
}, () => {
  // A year in which all five zones changed their clocks, one of them by a day.
  const [from, until] = [new Date("2011-06-01T00:00Z"), new Date("2012-06-01T00:00Z")];
  const random = createRandom(seed);
  let fired = 0;
  let changed = 0;
  for (const timezone of zones) {
    const looks = lookAtClock(timezone, from, until);
    changed += looks.filter(({ again, passedOver }) => again || passedOver.length > 0).length;
    for (let count = 0; count < 100; count += 1) {
      const { text, meaning } = someSchedule(random);
      const due = dueTimesBetween(scheduleOf(text), timezone, from, until).map(
        (time) => time.getTime() / 60_000,
      );
      const golden = dueMinutes(looks, meaning);
      if (String(due) !== String(golden)) throw new Error(firstDifference(text, timezone, due, golden));
      fired += due.length;
    }
  }
  expect(fired).toBeGreaterThan(100_000);
  expect(changed).toBeGreaterThan(200);
});

const simulatedDays = times(10_000, 20_000);

test(`over ${simulatedDays} days in five zones no due time comes twice or out of order, and no day is left out`, {
  timeout: 120_000,
}, () => {
  const from = new Date("1996-01-01T12:00Z");
  const until = new Date(from.getTime() + simulatedDays * day);
  for (const timezone of zones) {
    for (const text of ["30 2 * * *", "@daily", "30 23 * * *", "59 * * * *", "*/20 0-3 * * *"]) {
      const due = dueTimesBetween(scheduleOf(text), timezone, from, until).map((time) => time.getTime());
      expect(outOfOrder(due), `${text} in ${timezone}`).toEqual([]);
      const onceADay = /^\d+ \d+ \* \* \*$|^@daily$/.test(text);
      // Samoa went over the date line: the date that was passed over has its due time too, but for a midnight's, which
      // is one with that of the next.
      const dates = timezone === "Pacific/Apia" && text !== "@daily" ? simulatedDays + 1 : simulatedDays;
      if (onceADay) expect(due.length, `${text} in ${timezone}`).toBe(dates);
    }
  }
});

test("that check sees a due time that comes twice", () => {
  expect(outOfOrder([1, 2, 2, 3])).toEqual([2]);
  expect(outOfOrder([1, 3, 2])).toEqual([2]);
});

test("stepping from one due time to the next gives what the whole stretch gives", () => {
  const [from, until] = [new Date("2026-10-20T00:00Z"), new Date("2026-11-05T00:00Z")];
  for (const timezone of [...zones, "Asia/Kolkata", "UTC"]) {
    for (const text of ["*/30 * * * *", "*/30 1,2 * * *", "15 4 * * MON"]) {
      const schedule = scheduleOf(text);
      const stepped: Date[] = [];
      for (let next = nextDueTime(schedule, timezone, from); next !== undefined && next <= until; ) {
        stepped.push(next);
        next = nextDueTime(schedule, timezone, next);
      }
      expect(stepped).toEqual(dueTimesBetween(schedule, timezone, from, until));
    }
  }
});

function scheduleOf(text: string): Schedule {
  const { schedule, problems } = parseSchedule(text);
  if (schedule === undefined) throw new Error(`${text}: ${problems.join("; ")}`);
  return schedule;
}

function outOfOrder(sorted: readonly number[]): readonly number[] {
  return sorted.filter((time, index) => index > 0 && time <= (sorted[index - 1] ?? 0));
}

/** A schedule and what it means, made together: the meaning is not read from the text. */
function someSchedule(random: Random): { readonly text: string; readonly meaning: Meaning } {
  const minutes = someField(random, 0, 59, 0.02);
  const hours = someField(random, 0, 23, 0.3);
  const daysOfMonth = someField(random, 1, 31, 0.7);
  const months = someField(random, 1, 12, 0.7);
  const daysOfWeek = someField(random, 0, 6, 0.7);
  return {
    text: [minutes, hours, daysOfMonth, months, daysOfWeek].map(({ text }) => text).join(" "),
    meaning: {
      minutes: minutes.values,
      hours: hours.values,
      daysOfMonth: daysOfMonth.values,
      months: months.values,
      daysOfWeek: daysOfWeek.values,
      eitherDay: !daysOfMonth.any && !daysOfWeek.any,
    },
  };
}

function someField(
  random: Random,
  first: number,
  last: number,
  anyChance: number,
): { readonly text: string; readonly values: readonly number[]; readonly any: boolean } {
  const all = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  if (random.chance(anyChance)) return { text: random.pick(["*", "?"]), values: all, any: true };
  const [one, other] = [random.pick(all), random.pick(all)];
  const [low, high] = [Math.min(one, other), Math.max(one, other)];
  switch (random.below(4)) {
    case 0: {
      const step = 2 + random.below(20);
      return {
        text: `*/${step}`,
        values: all.filter((value) => (value - first) % step === 0),
        any: false,
      };
    }
    case 1:
      return {
        text: `${low}-${high}`,
        values: all.filter((value) => value >= low && value <= high),
        any: false,
      };
    case 2:
      return { text: `${one},${other}`, values: [one, other], any: false };
    default:
      return { text: String(one), values: [one], any: false };
  }
}

function firstDifference(
  text: string,
  timezone: string,
  due: readonly number[],
  golden: readonly number[],
): string {
  const index = golden.findIndex((time, at) => time !== due[at]);
  const [mine, right] = [due, golden].map((list) => {
    const time = list[index < 0 ? golden.length : index];
    return time === undefined ? "nothing" : new Date(time * 60_000).toISOString();
  });
  return `${text} in ${timezone}: ${mine} where the clock says ${right}`;
}
