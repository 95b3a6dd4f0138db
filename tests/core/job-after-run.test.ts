import { expect, test } from "vitest";
import { jobAfterRun } from "../../src/core/job-after-run.ts";
import type { Job } from "../../src/core/job-state.ts";
import { aJob } from "../cli/support/records.ts";

const now = new Date("2026-11-23T19:05:12.000Z");
const withRuns = (count: number, retries: number): Job =>
  aJob({
    status: "active",
    endedAt: undefined,
    retries,
    runs: Array.from({ length: count }, (_, index) => `run-${index}`),
  });
const after = (job: Job, status: "succeeded" | "failed" | "cancelled", retryDelaySeconds = 10): Job =>
  jobAfterRun(
    job,
    { status, reason: status === "succeeded" ? undefined : "why" },
    { now, retryDelaySeconds },
  );

test("a job ends as its run does", () => {
  const endedAt = now.toISOString();
  expect(after(withRuns(1, 2), "succeeded")).toMatchObject({ status: "succeeded", why: undefined, endedAt });
  expect(after(withRuns(1, 0), "failed")).toMatchObject({ status: "failed", why: "why", endedAt });
});

test("a run that failed is followed by as many as the job says", () => {
  expect(after(withRuns(1, 2), "failed")).toMatchObject({ status: "waiting", endedAt: undefined });
  expect(after(withRuns(2, 2), "failed").status).toBe("waiting");
  expect(after(withRuns(3, 2), "failed").status).toBe("failed");
});

test("one that was cancelled, or made room for a newer one, is not", () => {
  expect(after(withRuns(1, 2), "cancelled")).toMatchObject({ status: "cancelled", why: "why" });
});

test("the delay doubles with each run, to six minutes at most, as Kubernetes has it", () => {
  const delays = [1, 2, 3, 4, 5, 6, 7, 20].map((count) => {
    const { nextRunAt } = after(withRuns(count, 100), "failed");
    return (Date.parse(nextRunAt ?? "") - now.getTime()) / 1000;
  });
  expect(delays).toEqual([10, 20, 40, 80, 160, 320, 360, 360]);
});
