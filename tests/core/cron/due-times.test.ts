import { expect, test } from "vitest";
import { dueTimesBetween, nextDueTime, nextDueTimes } from "../../../src/core/cron/due-times.ts";
import { parseSchedule, type Schedule } from "../../../src/core/cron/parse-schedule.ts";

test("the next due time is after the given time, never at it", () => {
  const at = new Date("2026-11-23T03:15:00.000Z");
  expect(nextDueTime(scheduleOf("15 3 * * *"), "UTC", new Date(at.getTime() - 1))).toEqual(at);
  expect(nextDueTime(scheduleOf("15 3 * * *"), "UTC", at)).toEqual(new Date("2026-11-24T03:15:00.000Z"));
});

test("a stretch of time has the due time at its end, and not the one at its beginning", () => {
  const [from, until] = [new Date("2026-11-23T10:00Z"), new Date("2026-11-23T12:00Z")];
  expect(
    dueTimesBetween(scheduleOf("@hourly"), "UTC", from, until).map((time) => time.toISOString()),
  ).toEqual(["2026-11-23T11:00:00.000Z", "2026-11-23T12:00:00.000Z"]);
  expect(dueTimesBetween(scheduleOf("@hourly"), "UTC", until, from)).toEqual([]);
});

test("the wall's clock is that of the time zone", () => {
  const next = nextDueTime(scheduleOf("0 9 * * *"), "Asia/Kolkata", new Date("2026-11-23T00:00Z"));
  expect(next?.toISOString()).toBe("2026-11-23T03:30:00.000Z");
});

test("of two fields for days one is enough", () => {
  const friday13 = nextDueTimes(scheduleOf("0 0 13 * FRI"), "UTC", new Date("2026-11-01T00:00Z"), 4);
  expect(friday13.map((time) => time.toISOString().slice(0, 10))).toEqual([
    "2026-11-06",
    "2026-11-13",
    "2026-11-20",
    "2026-11-27",
  ]);
});

test("29 February comes in leap years, 30 February never", () => {
  const from = new Date("2026-11-23T00:00Z");
  expect(nextDueTime(scheduleOf("0 0 29 2 *"), "Europe/Berlin", from)?.toISOString()).toBe(
    "2028-02-28T23:00:00.000Z",
  );
  expect(nextDueTime(scheduleOf("0 0 30 2 *"), "Europe/Berlin", from)).toBeUndefined();
  expect(nextDueTimes(scheduleOf("0 0 31 4,6 *"), "UTC", from, 3)).toEqual([]);
});

function scheduleOf(text: string): Schedule {
  const { schedule, problems } = parseSchedule(text);
  if (schedule === undefined) throw new Error(`${text}: ${problems.join("; ")}`);
  return schedule;
}
