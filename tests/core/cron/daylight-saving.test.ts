import { Cron } from "croner";
import { describe, expect, test } from "vitest";
import { dueTimesBetween } from "../../../src/core/cron/due-times.ts";
import { parseSchedule, type Schedule } from "../../../src/core/cron/parse-schedule.ts";
import { zonedText } from "../../../src/core/cron/time-zone.ts";
import { type DaylightSavingCase, daylightSavingCases } from "./golden/daylight-saving.ts";

describe("where the clocks are changed", () => {
  test("the table has 40 cases, eight of each zone, and each kind of change", () => {
    expect(daylightSavingCases).toHaveLength(40);
    expect(new Set(daylightSavingCases.map(({ timezone }) => timezone)).size).toBe(5);
    expect(new Set(daylightSavingCases.map(({ rule }) => rule)).size).toBe(5);
  });

  test.each(daylightSavingCases)("$timezone, $schedule ($rule): $why", (one) => {
    expect(shown(ours(one), one)).toEqual(shown(expected(one), one));
  });

  test("a scheduler that leaves the change to its library, or knows none, gets other times", () => {
    const wrongIn = (dueTimes: (one: DaylightSavingCase) => readonly Date[]): number =>
      daylightSavingCases.filter((one) => String(dueTimes(one)) !== String(expected(one))).length;
    expect(wrongIn(ours)).toBe(0);
    expect(wrongIn(ofCroner)).toBeGreaterThan(5);
    expect(wrongIn(withoutChange)).toBeGreaterThan(20);
  });
});

function scheduleOf({ schedule: text }: DaylightSavingCase): Schedule {
  const { schedule } = parseSchedule(text);
  if (schedule === undefined) throw new Error(`${text} is no schedule`);
  return schedule;
}

function ours(one: DaylightSavingCase): readonly Date[] {
  return dueTimesBetween(scheduleOf(one), one.timezone, new Date(one.after), new Date(one.until));
}

function expected({ due }: DaylightSavingCase): readonly Date[] {
  return due.map((time) => new Date(time));
}

function ofCroner(one: DaylightSavingCase): readonly Date[] {
  const cron = new Cron(one.schedule, { timezone: one.timezone, paused: true });
  const found: Date[] = [];
  for (let next = cron.nextRun(new Date(one.after)); next !== null && next <= new Date(one.until); ) {
    found.push(next);
    next = cron.nextRun(next);
  }
  return found;
}

/** With the offset that the zone had at first. */
function withoutChange(one: DaylightSavingCase): readonly Date[] {
  const offset = Date.parse(`${one.after.slice(0, 16)}Z`) - Date.parse(one.after);
  const [after, until] = [one.after, one.until].map((time) => new Date(Date.parse(time) + offset));
  return dueTimesBetween(scheduleOf(one), "UTC", after as Date, until as Date).map(
    (time) => new Date(time.getTime() - offset),
  );
}

function shown(times: readonly Date[], { timezone }: DaylightSavingCase): readonly string[] {
  return times.map((time) => zonedText(time, timezone));
}
