import { describe, expect, test } from "vitest";

import { parseSchedule, type Schedule } from "../../../../src/core/cron/parse-schedule.ts";
import {
  clusterDueTimes,
  startsAtOnce,
  yearlyDifferences,
} from "../../../../src/engines/kubernetes/jobs/cluster-schedule.ts";
import { spec } from "./support.ts";

function schedule(text: string): Schedule {
  const parsed = parseSchedule(text).schedule;
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

function times(text: string, timezone: string, after: string, count = 3): readonly string[] {
  const found = clusterDueTimes(schedule(text), timezone, new Date(after), count);
  return found.map((time) => time.toISOString().slice(0, 16));
}

describe("due times as Kubernetes has them", () => {
  test("are those of the clock on the wall in the cronjob's zone", () => {
    expect(times("15 3 * * *", "Asia/Tokyo", "2026-11-25T12:00:00Z")).toEqual([
      ...["2026-11-25T18:15", "2026-11-26T18:15", "2026-11-27T18:15"],
    ]);
  });

  test("come twice where the clocks show them twice", () => {
    expect(times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z")).toEqual([
      ...["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-26T01:30"],
    ]);
  });

  test("do not come where the clocks pass over them", () => {
    expect(times("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", 1)).toEqual(["2027-03-29T00:30"]);
  });

  test("end when there is none within five years", () => {
    expect(times("0 0 30 2 *", "UTC", "2026-11-25T12:00:00Z")).toEqual([]);
  });
});

describe("what is said of a cronjob that the cluster keeps otherwise", () => {
  const now = new Date("2026-05-01T00:00:00Z");

  test("is when its times meet a change of the clocks", () => {
    expect(yearlyDifferences(spec({ schedule: "30 2 * * *", timezone: "Europe/Berlin" }), now)).toEqual([
      "The clocks of Europe/Berlin pass over a time of this schedule, next right before 2027-03-28 03:00:00+02:00: Kubernetes leaves it out.",
      "The clocks of Europe/Berlin show a time of this schedule twice, the second time next at 2026-10-25 02:30:00+01:00: Kubernetes deploys at both.",
    ]);
  });

  test.each([
    { schedule: "15 3 * * *", timezone: "UTC" },
    { schedule: "15 12 * * *", timezone: "Europe/Berlin" },
    { schedule: "*/5 * * * *", timezone: "Europe/Berlin" },
  ])("is nothing for $schedule in $timezone", (change) => {
    expect(yearlyDifferences(spec(change), now)).toEqual([]);
  });

  test("is that it makes up for one due time at most", () => {
    expect(yearlyDifferences(spec({ catchUp: "all" }), now)).toEqual([
      expect.stringContaining("no more than the newest of the due times"),
    ]);
  });
});

describe("a change that makes the cluster start at once", () => {
  const at = { since: new Date("2026-11-25T03:15:00Z"), now: new Date("2026-11-25T12:00:00Z") };

  test("is one to a schedule that has a time since the last one", () => {
    expect(startsAtOnce(spec(), spec({ schedule: "0 * * * *" }), at)).toContain(
      "2026-11-25 12:00:00+00:00 at once",
    );
  });

  test("is the end of a suspension that passed one", () => {
    const hourly = spec({ schedule: "0 * * * *" });
    expect(startsAtOnce({ ...hourly, suspended: true }, hourly, at)).toContain("at once");
  });

  test.each([
    ["the schedule stays", spec({ schedule: "0 * * * *" }), spec({ schedule: "0 * * * *" })],
    ["none has passed", spec(), spec({ schedule: "0 18 * * *" })],
    ["none is made up for", spec(), spec({ schedule: "0 * * * *", catchUp: "none" })],
    ["it is suspended", spec(), spec({ schedule: "0 * * * *", suspended: true })],
  ] as const)("is none when %s", (_, before, after) => {
    expect(startsAtOnce(before, after, at)).toBeUndefined();
  });
});
