import { expect, test } from "vitest";
import { isTimezone, zonedText } from "../../../src/core/cron/time-zone.ts";

test.each([
  "UTC",
  "Europe/Berlin",
  "Asia/Kolkata",
  "Asia/Calcutta",
  "America/Argentina/Ushuaia",
  "Etc/GMT+5",
  "US/Eastern",
])("%s is a time zone", (text) => {
  expect(isTimezone(text)).toBe(true);
});

test.each([
  "",
  "Local",
  "+02:00",
  "Europe/Atlantis",
  "europe/berlin",
  "utc",
  " UTC",
  "CEST",
  "Europe/Berlin\n",
])("%j is none", (text) => {
  expect(isTimezone(text)).toBe(false);
});

test.each([
  ["2026-07-01T01:15:00.000Z", "Europe/Berlin", "2026-07-01 03:15:00+02:00"],
  ["2026-12-31T23:30:00.000Z", "Europe/Berlin", "2027-01-01 00:30:00+01:00"],
  ["2026-07-01T01:15:00.000Z", "UTC", "2026-07-01 01:15:00+00:00"],
  ["2026-07-01T01:15:00.000Z", "America/St_Johns", "2026-06-30 22:45:00-02:30"],
  ["2026-07-01T01:15:00.000Z", "Asia/Kathmandu", "2026-07-01 07:00:00+05:45"],
])("%s is in %s %s", (time, timezone, text) => {
  expect(zonedText(new Date(time), timezone)).toBe(text);
});
