import { describe, expect, test } from "vitest";
import { between, bytes, duration, shortDigest, time } from "../../src/cli/format.ts";

test.each([
  [0, "0.0s"],
  [449, "0.4s"],
  [59_949, "59.9s"],
  [59_960, "1m00s"],
  [125_000, "2m05s"],
  [3_599_600, "1h00m"],
  [3_720_000, "1h02m"],
  [90_000_000, "25h00m"],
  [-5, "0.0s"],
])("%i milliseconds are shown as %s", (milliseconds, text) => {
  expect(duration(milliseconds)).toBe(text);
});

describe("a span of time", () => {
  const [start, end] = ["2026-11-23T19:05:12.000Z", "2026-11-23T19:05:14.500Z"];

  test("is from start to end", () => expect(between(start, end, 0)).toBe("2.5s"));

  test("goes on to now while it has no end", () => {
    expect(between(start, undefined, Date.parse(end))).toBe("2.5s");
  });

  test("is nothing when it never started", () => expect(between(undefined, undefined, 0)).toBe(""));
});

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1.0 KiB"],
  [1_258_291, "1.2 MiB"],
  [5 * 1024 ** 5, "5120.0 TiB"],
])("%i bytes are shown as %s", (count, text) => {
  expect(bytes(count)).toBe(text);
});

test("A digest is shown by its first 12 digits", () => {
  expect(shortDigest(`sha256:${"ab".repeat(32)}`)).toBe("abababababab");
  expect(shortDigest("cd".repeat(32))).toBe("cdcdcdcdcdcd");
});

test("A time is shown to the second, with its zone", () => {
  expect(time("2026-11-23T19:05:12.345Z")).toBe("2026-11-23 19:05:12+00:00");
  expect(time(undefined)).toBe("");
});
