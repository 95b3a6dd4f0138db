import { describe, expect, test } from "vitest";
import { parseSchedule } from "../../../src/core/cron/parse-schedule.ts";
import { nameDisagrees, scheduleInWords } from "../../../src/core/cron/words.ts";

test.each([
  ["15 3 * * *", "At 03:15, every day"],
  ["0 * * * *", "Every hour"],
  ["* * * * *", "Every minute"],
  ["*/5 * * * *", "Every 5 minutes"],
  ["0 8,20 * * *", "At 08:00 and 20:00, every day"],
  ["0 9-17 * * MON-FRI", "Every hour, between 09:00 and 17:00, Monday through Friday"],
  ["@weekly", "At 00:00, only on Sunday"],
  ["0 0 ? * ?", "At 00:00, every day"],
  ["0,0 1 * * *", "At 01:00, every day"],
  ["0, * * * *", "Every hour"],
  ["*/60 * * * *", "Every hour"],
  // An uneven step begins anew at each hour: "every 25 minutes" it is not.
  ["*/25 * * * *", "At 0, 25, and 50 minutes past the hour"],
  ["0 */10 * * *", "At 00:00, 10:00 and 20:00, every day"],
  ["60 * * * *", "60 * * * *"],
])("%s in words: %s", (schedule, words) => {
  expect(scheduleInWords(schedule)).toBe(words);
});

describe("a name that says another rhythm than the schedule keeps", () => {
  test.each([
    ["daily-train", "0 * * * *", '"daily-train" fires every hour (0 * * * *): did you mean "0 0 * * *"?'],
    [
      "nightly",
      "*/30 3 * * *",
      '"nightly" fires every 30 minutes, between 03:00 and 03:59, every day (*/30 3 * * *): did you mean "0 3 * * *"?',
    ],
    [
      "train-every-day",
      "30 4 * * 1",
      '"train-every-day" fires at 04:30, only on Monday (30 4 * * 1): did you mean "30 4 * * *"?',
    ],
    ["hourly", "15 0 * * *", '"hourly" fires at 00:15, every day (15 0 * * *): did you mean "15 * * * *"?'],
    [
      "weekly-report",
      "@daily",
      '"weekly-report" fires at 00:00, every day (@daily): did you mean "0 0 * * 0"?',
    ],
    [
      "report-monthly",
      "0 6 * * 1",
      '"report-monthly" fires at 06:00, only on Monday (0 6 * * 1): did you mean "0 6 1 * *"?',
    ],
    [
      "yearly",
      "0 0 5 * *",
      '"yearly" fires at 00:00, on day 5 of the month (0 0 5 * *): did you mean "0 0 5 1 *"?',
    ],
  ])("%s at %s", (name, schedule, warning) => {
    expect(disagrees(name, schedule)).toBe(warning);
  });

  test.each([
    ["daily-train", "15 3 * * *"],
    ["daily-train", "15 3 * * MON-FRI"],
    ["hourly", "@hourly"],
    ["hourly-in-the-day", "30 9-17 * * 1-5"],
    ["weekly", "0 4 * * TUE"],
    ["monthly", "0 4 15 * *"],
    ["yearly", "@yearly"],
    // Names that say nothing of a rhythm.
    ["train", "* * * * *"],
    ["biweekly", "0 0 1 * *"],
    ["dailymotion", "* * * * *"],
  ])("not %s at %s", (name, schedule) => {
    expect(disagrees(name, schedule)).toBeUndefined();
  });
});

test("what is meant keeps the rhythm that the name says", () => {
  for (const name of ["hourly", "daily", "weekly", "monthly", "yearly"]) {
    for (const schedule of ["* * * * *", "5 4 3 2 1", "*/7 1-4 1-3 5,6 MON"]) {
      const meant = /did you mean "(.*)"/.exec(disagrees(name, schedule) ?? "")?.[1];
      if (meant !== undefined) expect(disagrees(name, meant), `${name}: ${meant}`).toBeUndefined();
    }
  }
});

function disagrees(name: string, text: string): string | undefined {
  const { schedule } = parseSchedule(text);
  if (schedule === undefined) throw new Error(`${text} is no schedule`);
  return nameDisagrees(name, schedule);
}
