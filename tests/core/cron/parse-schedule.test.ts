import { describe, expect, test } from "vitest";
import { parseSchedule, type Schedule } from "../../../src/core/cron/parse-schedule.ts";
import { createRandom, type Random } from "../../support/random.ts";
import { seed, times } from "../../support/soak.ts";
import { alwaysWrong, reasons, verdicts } from "./golden/verdicts.ts";

describe("compared with Bodywork 3", () => {
  test.each(verdicts)("$schedule was $before and is $now", ({ schedule, now, before, why }) => {
    expect(parseSchedule(schedule).schedule === undefined ? "refused" : "taken").toBe(now);
    // A difference has a reason.
    expect(why === undefined).toBe(now === before);
    if (why !== undefined) expect(reasons[why]).toMatch(/Kubernetes/);
  });

  test.each(alwaysWrong)("%s is wrong, as its tests hold", (schedule) => {
    expect(parseSchedule(schedule).problems).toHaveLength(1);
  });
});

describe("what a field stands for", () => {
  test.each<[string, Partial<Record<"minutes" | "hours", readonly number[]>>]>([
    ["5 4 * * *", { minutes: [5], hours: [4] }],
    ["*/20 */8 * * *", { minutes: [0, 20, 40], hours: [0, 8, 16] }],
    ["10-20/5 ? * * *", { minutes: [10, 15, 20], hours: Array.from({ length: 24 }, (_, hour) => hour) }],
    ["30,10,30 22-23,1 * * *", { minutes: [10, 30], hours: [1, 22, 23] }],
    ["*/60 05 * * *", { minutes: [0], hours: [5] }],
    ["1-9/99 0,,7 * * *", { minutes: [1], hours: [0, 7] }],
  ])("%s", (text, expected) => {
    expect(scheduleOf(text)).toMatchObject(expected);
  });

  test("months and days of the week have names, in any case, also in ranges", () => {
    const { months, daysOfWeek } = scheduleOf("0 0 * Jan-MAR,dec mon-fri/2,SUN");
    expect([...months].sort((a, b) => a - b)).toEqual([1, 2, 3, 12]);
    expect([...daysOfWeek].sort()).toEqual([0, 1, 3, 5]);
  });

  test.each([
    ["@yearly", "0 0 1 1 *"],
    ["@annually", "0 0 1 1 *"],
    ["@monthly", "0 0 1 * *"],
    ["@weekly", "0 0 * * 0"],
    ["@daily", "0 0 * * *"],
    ["@midnight", "0 0 * * *"],
    ["@hourly", "0 * * * *"],
  ])("%s is %s", (macro, fields) => {
    const { text, ...meant } = scheduleOf(macro);
    expect(text).toBe(macro);
    expect(meant).toEqual({ ...scheduleOf(fields), text: undefined });
  });

  test.each([
    ["0 0 13 * FRI", true],
    ["0 0 13 * *", false],
    ["0 0 ? * FRI", false],
    ["0 0 */1 * FRI", false],
    ["0 0 */2 * FRI", true],
    ["0 0 1,* * FRI", false],
    ["0 0 * * *", false],
  ])("in %s one of the two days is enough: %s", (text, either) => {
    expect(scheduleOf(text).eitherDay).toBe(either);
  });
});

describe("what is wrong with a schedule", () => {
  test("everything at once, with its field", () => {
    expect(parseSchedule("60 24 0 13 7").problems).toEqual([
      "minute 60: 0 to 59",
      "hour 24: 0 to 23",
      "day of month 0: 1 to 31",
      "month 13: 1 to 12, or JAN to DEC",
      "day of week 7: 0 to 6, or SUN to SAT",
    ]);
    expect(parseSchedule("61,5,62-63 * * * *").problems).toEqual([
      "minute 61: 0 to 59",
      "minute 62-63: 0 to 59",
    ]);
  });

  test.each([
    ["5/10 * * * *", "minute 5/10: a step needs a range before it, 5-59/10"],
    ["50-10 * * * *", "minute 50-10: runs backwards; write 50-59,0-10"],
    ["0 0 * * SAT-SUN", "day of week SAT-SUN: runs backwards; write 6,0"],
    ["*/0 * * * *", "minute */0: the step 0 is no number from 1 on"],
    ["*/x * * * *", "minute */x: the step x is no number from 1 on"],
    ["1/2/3 * * * *", "minute 1/2/3: no number, range or step"],
    ["15,30,30-45 * * * *", "minute 15,30,30-45: 30 stands by itself and in a range"],
    [", * * * *", "minute ,: nothing in it"],
    ["+5 * * * *", "minute +5: 0 to 59"],
    ["*-5 * * * *", "minute *-5: 0 to 59"],
    ["0 0 * JUN JUN", "day of week JUN: 0 to 6, or SUN to SAT"],
    ["* * * *", "4 fields: a schedule has five, minute, hour, day of month, month and day of week"],
    ["daily", "1 field: a schedule has five, minute, hour, day of month, month and day of week"],
    ["", "no fields: a schedule has five, minute, hour, day of month, month and day of week"],
    ["0 0 0 * * *", "6 fields: a schedule has five, minute, hour, day of month, month and day of week"],
    ["@reboot", "@reboot: the macros are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly"],
    ["@Daily", "@Daily: the macros are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly"],
    [
      "@every 1h30m",
      '@every 1h30m: a time span begins anew whenever the server starts; write five fields, such as "0 * * * *"',
    ],
    [
      "TZ=Europe/Berlin 0 0 * * *",
      "TZ=Europe/Berlin: a time zone is not part of a schedule; give it by --timezone",
    ],
    ["CRON_TZ=UTC @daily", "CRON_TZ=UTC: a time zone is not part of a schedule; give it by --timezone"],
    [`0 ${"0,".repeat(200)} * * *`, "longer than 256 characters"],
  ])("%s", (text, problem) => {
    expect(parseSchedule(text)).toEqual({ schedule: undefined, problems: [problem] });
  });

  test("no text makes the parser throw, and a schedule always has a minute and an hour", () => {
    const random = createRandom(seed);
    const seen = { taken: 0, refused: 0 };
    for (let count = times(20_000, 2_000_000); count > 0; count -= 1) {
      const text = someText(random);
      const { schedule, problems } = parseSchedule(text);
      if ((schedule === undefined) !== problems.length > 0) throw new Error(JSON.stringify(text));
      if (schedule?.minutes.length === 0 || schedule?.hours.length === 0)
        throw new Error(JSON.stringify(text));
      seen[schedule === undefined ? "refused" : "taken"] += 1;
    }
    expect(seen.taken).toBeGreaterThan(300);
    expect(seen.refused).toBeGreaterThan(300);
  });
});

function scheduleOf(text: string): Schedule {
  const { schedule, problems } = parseSchedule(text);
  if (schedule === undefined) throw new Error(`${text}: ${problems.join("; ")}`);
  return schedule;
}

function someText(random: Random): string {
  if (random.chance(0.05))
    return random.pick(["@daily", "@x", "__proto__ * * * *", "@constructor", "\0", "é * * * *"]);
  const pieces = [
    "*",
    "*",
    "*",
    "0",
    "1",
    "5",
    "07",
    "23",
    "59",
    "99",
    "-",
    "/",
    ",",
    "?",
    "MON",
    "jan",
    "x",
  ];
  const field = (): string => {
    const length = random.chance(0.85) ? 1 : 1 + random.below(5);
    return Array.from({ length }, () => random.pick(pieces)).join("");
  };
  const fields = random.chance(0.9) ? 5 : random.below(8);
  return Array.from({ length: fields }, field).join(random.pick([" ", " ", "  ", "\t"]));
}
