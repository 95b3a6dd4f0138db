import { expect, test } from "vitest";
import { restartDelay } from "../../../src/engines/local/restart-delay.ts";

const middle = () => 0.5;

test("a service that was well waits 1 s after its first crash, then twice as long each time, up to a minute", () => {
  const delays = [1, 2, 3, 4, 5, 6, 7, 8, 100].map((crashes) => restartDelay(crashes, true, middle));
  expect(delays).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
});

test("one that was never ready is tried again sooner, for a run waits for it", () => {
  expect([1, 2].map((crashes) => restartDelay(crashes, false, middle))).toEqual([250, 500]);
});

test("chance moves a delay by no more than a tenth", () => {
  expect(restartDelay(1, true, () => 0)).toBe(900);
  expect(restartDelay(1, true, () => 1)).toBeCloseTo(1_100);
});
