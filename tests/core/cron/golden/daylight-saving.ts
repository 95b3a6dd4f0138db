/**
 * Due times around changes of the clocks, by hand from the rule, before any code was asked. Zones of five kinds: Berlin and
 * New York change by an hour in the night, Lord Howe Island by half an hour, São Paulo did at midnight, and Samoa left out
 * a whole day when it went over the date line.
 *
 * The rule: of the times that the clocks pass over, the schedule fires once, at the first minute after them; of the times
 * that come twice, at the first one, but at both when it has every hour of the day.
 */

export type DaylightSavingRule =
  /** Nothing that the schedule names is passed over or comes twice. */
  | "untouched"
  | "passed over"
  /** Several times that are passed over, or one and the minute after them, are one due time. */
  | "passed over together"
  | "twice, hour named"
  | "twice, every hour";

export interface DaylightSavingCase {
  readonly timezone: string;
  readonly schedule: string;
  readonly rule: DaylightSavingRule;
  readonly why: string;
  /** Not in it. All times as the clock on the wall shows them, with its offset from UTC. */
  readonly after: string;
  /** In it. */
  readonly until: string;
  readonly due: readonly string[];
}

/** 2026-03-29: 02:00 (+01:00) is followed by 03:00 (+02:00). 2026-10-25: 03:00 (+02:00) is followed by 02:00 (+01:00). */
const berlin: readonly Omit<DaylightSavingCase, "timezone">[] = [
  {
    schedule: "30 2 * * *",
    rule: "passed over",
    why: "02:30 is not on the clock on the 29th; 03:00 is the first minute after",
    after: "2026-03-28T00:00+01:00",
    until: "2026-03-30T12:00+02:00",
    due: ["2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"],
  },
  {
    schedule: "*/30 2 * * *",
    rule: "passed over together",
    why: "02:00 and 02:30 are both passed over; the training they stand for runs once",
    after: "2026-03-29T00:00+01:00",
    until: "2026-03-29T12:00+02:00",
    due: ["2026-03-29T03:00+02:00"],
  },
  {
    schedule: "0 3 * * *",
    rule: "untouched",
    why: "03:00 is the first minute after the change",
    after: "2026-03-29T00:00+01:00",
    until: "2026-03-29T12:00+02:00",
    due: ["2026-03-29T03:00+02:00"],
  },
  {
    schedule: "30 2,3 * * *",
    rule: "passed over",
    why: "02:30 is made up for at 03:00, and 03:30 is there",
    after: "2026-03-29T00:00+01:00",
    until: "2026-03-29T12:00+02:00",
    due: ["2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00"],
  },
  {
    schedule: "30 2 * * *",
    rule: "twice, hour named",
    why: "02:30 comes at +02:00 and again at +01:00; once a day means once",
    after: "2026-10-25T00:00+02:00",
    until: "2026-10-25T12:00+01:00",
    due: ["2026-10-25T02:30+02:00"],
  },
  {
    schedule: "*/30 2 * * *",
    rule: "twice, hour named",
    why: "the hour from 02:00 is named, so only its first pass counts",
    after: "2026-10-25T00:00+02:00",
    until: "2026-10-25T12:00+01:00",
    due: ["2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00"],
  },
  {
    schedule: "30 * * * *",
    rule: "twice, every hour",
    why: "every hour that passes has its half past, also the one that comes twice",
    after: "2026-10-25T00:45+02:00",
    until: "2026-10-25T04:00+01:00",
    due: [
      "2026-10-25T01:30+02:00",
      "2026-10-25T02:30+02:00",
      "2026-10-25T02:30+01:00",
      "2026-10-25T03:30+01:00",
    ],
  },
  {
    schedule: "0 */2 * * *",
    rule: "twice, hour named",
    why: "every other hour names its hours: 02:00 counts once",
    after: "2026-10-25T00:00+02:00",
    until: "2026-10-25T05:00+01:00",
    due: ["2026-10-25T02:00+02:00", "2026-10-25T04:00+01:00"],
  },
];

/** 2026-03-08: 02:00 (-05:00) is followed by 03:00 (-04:00). 2026-11-01: 02:00 (-04:00) is followed by 01:00 (-05:00). */
const newYork: readonly Omit<DaylightSavingCase, "timezone">[] = [
  {
    schedule: "30 2 * * SUN",
    rule: "passed over",
    why: "the 8th is a Sunday, and its 02:30 is not on the clock",
    after: "2026-03-02T00:00-05:00",
    until: "2026-03-15T12:00-04:00",
    due: ["2026-03-08T03:00-04:00", "2026-03-15T02:30-04:00"],
  },
  {
    schedule: "15,45 2 8 3 *",
    rule: "passed over together",
    why: "both times of the only day of the year are passed over",
    after: "2026-03-01T00:00-05:00",
    until: "2026-03-31T00:00-04:00",
    due: ["2026-03-08T03:00-04:00"],
  },
  {
    schedule: "0 * * * *",
    rule: "passed over together",
    why: "02:00 is passed over, and what stands in for it is 03:00 itself",
    after: "2026-03-08T00:30-05:00",
    until: "2026-03-08T05:00-04:00",
    due: [
      "2026-03-08T01:00-05:00",
      "2026-03-08T03:00-04:00",
      "2026-03-08T04:00-04:00",
      "2026-03-08T05:00-04:00",
    ],
  },
  {
    schedule: "59 1 * * *",
    rule: "untouched",
    why: "01:59 is the last minute before the change",
    after: "2026-03-08T00:00-05:00",
    until: "2026-03-08T12:00-04:00",
    due: ["2026-03-08T01:59-05:00"],
  },
  {
    schedule: "30 1 * * *",
    rule: "twice, hour named",
    why: "01:30 comes at -04:00 and again at -05:00",
    after: "2026-11-01T00:00-04:00",
    until: "2026-11-01T12:00-05:00",
    due: ["2026-11-01T01:30-04:00"],
  },
  {
    schedule: "*/30 * * * *",
    rule: "twice, every hour",
    why: "every half hour that passes",
    after: "2026-11-01T00:45-04:00",
    until: "2026-11-01T02:00-05:00",
    due: [
      "2026-11-01T01:00-04:00",
      "2026-11-01T01:30-04:00",
      "2026-11-01T01:00-05:00",
      "2026-11-01T01:30-05:00",
      "2026-11-01T02:00-05:00",
    ],
  },
  {
    schedule: "0 2 * * *",
    rule: "untouched",
    why: "the clock shows 02:00 once: the first time it goes from 01:59 to 01:00",
    after: "2026-11-01T00:00-04:00",
    until: "2026-11-01T12:00-05:00",
    due: ["2026-11-01T02:00-05:00"],
  },
  {
    schedule: "0 0 1 11 *",
    rule: "untouched",
    why: "midnight is before the change",
    after: "2026-10-31T00:00-04:00",
    until: "2026-11-02T00:00-05:00",
    due: ["2026-11-01T00:00-04:00"],
  },
];

/** 2026-10-04: 02:00 (+10:30) is followed by 02:30 (+11:00). 2026-04-05: 02:00 (+11:00) is followed by 01:30 (+10:30). */
const lordHowe: readonly Omit<DaylightSavingCase, "timezone">[] = [
  {
    schedule: "15 2 * * *",
    rule: "passed over",
    why: "only half an hour is passed over, so the minute after it is 02:30",
    after: "2026-10-03T12:00+10:30",
    until: "2026-10-04T12:00+11:00",
    due: ["2026-10-04T02:30+11:00"],
  },
  {
    schedule: "0 2 * * *",
    rule: "passed over",
    why: "02:00 is the first of the minutes that are passed over",
    after: "2026-10-03T12:00+10:30",
    until: "2026-10-04T12:00+11:00",
    due: ["2026-10-04T02:30+11:00"],
  },
  {
    schedule: "0,15,30 2 * * *",
    rule: "passed over together",
    why: "02:00 and 02:15 are passed over, and what stands in for them is 02:30 itself",
    after: "2026-10-03T12:00+10:30",
    until: "2026-10-04T12:00+11:00",
    due: ["2026-10-04T02:30+11:00"],
  },
  {
    schedule: "*/15 * * * *",
    rule: "passed over together",
    why: "a quarter of an hour after 01:45 the clock shows 02:30",
    after: "2026-10-04T01:30+10:30",
    until: "2026-10-04T03:00+11:00",
    due: [
      "2026-10-04T01:45+10:30",
      "2026-10-04T02:30+11:00",
      "2026-10-04T02:45+11:00",
      "2026-10-04T03:00+11:00",
    ],
  },
  {
    schedule: "45 1 * * *",
    rule: "twice, hour named",
    why: "the half hour from 01:30 comes twice",
    after: "2026-04-04T12:00+11:00",
    until: "2026-04-05T12:00+10:30",
    due: ["2026-04-05T01:45+11:00"],
  },
  {
    schedule: "15 1 * * *",
    rule: "untouched",
    why: "the clock goes back no further than 01:30",
    after: "2026-04-04T12:00+11:00",
    until: "2026-04-05T12:00+10:30",
    due: ["2026-04-05T01:15+11:00"],
  },
  {
    schedule: "45 * * * *",
    rule: "twice, every hour",
    why: "01:45 comes twice, half an hour apart",
    after: "2026-04-05T00:30+11:00",
    until: "2026-04-05T03:00+10:30",
    due: [
      "2026-04-05T00:45+11:00",
      "2026-04-05T01:45+11:00",
      "2026-04-05T01:45+10:30",
      "2026-04-05T02:45+10:30",
    ],
  },
  {
    schedule: "0,30 1 * * *",
    rule: "twice, hour named",
    why: "01:00 comes once, and of 01:30 the first counts",
    after: "2026-04-04T12:00+11:00",
    until: "2026-04-05T12:00+10:30",
    due: ["2026-04-05T01:00+11:00", "2026-04-05T01:30+11:00"],
  },
];

/** 2018-11-04: 00:00 (-03:00) was followed by 01:00 (-02:00). 2018-02-18: 00:00 (-02:00) was followed by 23:00 (-03:00) of the 17th. */
const saoPaulo: readonly Omit<DaylightSavingCase, "timezone">[] = [
  {
    schedule: "@daily",
    rule: "passed over",
    why: "the 4th began at 01:00",
    after: "2018-11-03T12:00-03:00",
    until: "2018-11-05T12:00-02:00",
    due: ["2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00"],
  },
  {
    schedule: "30 0 * * *",
    rule: "passed over",
    why: "00:30 was not on the clock on the 4th",
    after: "2018-11-03T12:00-03:00",
    until: "2018-11-04T12:00-02:00",
    due: ["2018-11-04T01:00-02:00"],
  },
  {
    schedule: "@weekly",
    rule: "passed over",
    why: "the 4th was a Sunday without a midnight",
    after: "2018-10-30T00:00-03:00",
    until: "2018-11-11T12:00-02:00",
    due: ["2018-11-04T01:00-02:00", "2018-11-11T00:00-02:00"],
  },
  {
    schedule: "0 0,1 * * *",
    rule: "passed over together",
    why: "what stands in for midnight is 01:00 itself",
    after: "2018-11-03T12:00-03:00",
    until: "2018-11-04T12:00-02:00",
    due: ["2018-11-04T01:00-02:00"],
  },
  {
    schedule: "30 23 * * *",
    rule: "twice, hour named",
    why: "the last hour of the 17th came twice",
    after: "2018-02-17T12:00-02:00",
    until: "2018-02-18T12:00-03:00",
    due: ["2018-02-17T23:30-02:00"],
  },
  {
    schedule: "@daily",
    rule: "untouched",
    why: "the clock went from 23:59 to 23:00, and showed the midnight of the 18th once",
    after: "2018-02-17T12:00-02:00",
    until: "2018-02-18T12:00-03:00",
    due: ["2018-02-18T00:00-03:00"],
  },
  {
    schedule: "30 * * * *",
    rule: "twice, every hour",
    why: "every hour that passed, the last one of the 17th twice",
    after: "2018-02-17T22:00-02:00",
    until: "2018-02-18T01:00-03:00",
    due: [
      "2018-02-17T22:30-02:00",
      "2018-02-17T23:30-02:00",
      "2018-02-17T23:30-03:00",
      "2018-02-18T00:30-03:00",
    ],
  },
  {
    schedule: "0 23 17 2 *",
    rule: "twice, hour named",
    why: "of both 23:00 the first counts",
    after: "2018-02-17T12:00-02:00",
    until: "2018-02-18T12:00-03:00",
    due: ["2018-02-17T23:00-02:00"],
  },
];

/**
 * The end of 2011-12-29 (-10:00) was followed by 2011-12-31 00:00 (+14:00). 2012-04-01: 04:00 (+14:00) was followed by 03:00
 * (+13:00). 2020-09-27: 03:00 (+13:00) by 04:00 (+14:00). 2021-04-04: 04:00 (+14:00) by 03:00 (+13:00).
 */
const apia: readonly Omit<DaylightSavingCase, "timezone">[] = [
  {
    schedule: "0 9 * * *",
    rule: "passed over",
    why: "the 30th was no day at all; its training runs as the 31st begins",
    after: "2011-12-29T00:00-10:00",
    until: "2011-12-31T12:00+14:00",
    due: ["2011-12-29T09:00-10:00", "2011-12-31T00:00+14:00", "2011-12-31T09:00+14:00"],
  },
  {
    schedule: "0 9 30 12 *",
    rule: "passed over",
    why: "the only day of the year was passed over",
    after: "2011-12-01T00:00-10:00",
    until: "2012-01-31T00:00+14:00",
    due: ["2011-12-31T00:00+14:00"],
  },
  {
    schedule: "0 9 * * FRI",
    rule: "passed over",
    why: "the 30th would have been a Friday",
    after: "2011-12-24T00:00-10:00",
    until: "2012-01-06T12:00+14:00",
    due: ["2011-12-31T00:00+14:00", "2012-01-06T09:00+14:00"],
  },
  {
    schedule: "0 9 31 12 *",
    rule: "untouched",
    why: "the 31st was there",
    after: "2011-12-01T00:00-10:00",
    until: "2012-01-31T00:00+14:00",
    due: ["2011-12-31T09:00+14:00"],
  },
  {
    schedule: "0 */6 * * *",
    rule: "passed over together",
    why: "the four times of the 30th are one, and that is the midnight of the 31st",
    after: "2011-12-29T17:00-10:00",
    until: "2011-12-31T07:00+14:00",
    due: ["2011-12-29T18:00-10:00", "2011-12-31T00:00+14:00", "2011-12-31T06:00+14:00"],
  },
  {
    schedule: "30 3 * * *",
    rule: "twice, hour named",
    why: "03:30 came at +14:00 and again at +13:00",
    after: "2012-04-01T00:00+14:00",
    until: "2012-04-01T12:00+13:00",
    due: ["2012-04-01T03:30+14:00"],
  },
  {
    schedule: "30 3 * * *",
    rule: "passed over",
    why: "03:30 was not on the clock, and 04:00 was the first minute after",
    after: "2020-09-27T00:00+13:00",
    until: "2020-09-27T12:00+14:00",
    due: ["2020-09-27T04:00+14:00"],
  },
  {
    schedule: "0 * * * *",
    rule: "twice, every hour",
    why: "an hour after 03:00 the clock showed 03:00",
    after: "2021-04-04T02:30+14:00",
    until: "2021-04-04T04:00+13:00",
    due: ["2021-04-04T03:00+14:00", "2021-04-04T03:00+13:00", "2021-04-04T04:00+13:00"],
  },
];

const zones: Readonly<Record<string, readonly Omit<DaylightSavingCase, "timezone">[]>> = {
  "Europe/Berlin": berlin,
  "America/New_York": newYork,
  "Australia/Lord_Howe": lordHowe,
  "America/Sao_Paulo": saoPaulo,
  "Pacific/Apia": apia,
};

export const daylightSavingCases: readonly DaylightSavingCase[] = Object.entries(zones).flatMap(
  ([timezone, cases]) => cases.map((one) => ({ timezone, ...one })),
);
