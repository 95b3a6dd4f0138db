import { describe, expect, test } from "vitest";

import { jobState } from "../../../../src/engines/kubernetes/read-status/job-state.ts";
import { pod, running, terminated, withConditions } from "./statuses.ts";

const job = withConditions("Job", []);
const complete = withConditions("Job", [{ type: "Complete", status: "True" }]);
const failed = withConditions("Job", [
  { type: "Failed", status: "True", reason: "BackoffLimitExceeded", message: "Job has reached the limit" },
]);
const late = withConditions(
  "Job",
  [{ type: "FailureTarget", status: "True", reason: "DeadlineExceeded", message: "active longer" }],
  { spec: { activeDeadlineSeconds: 450 } },
);
const runs = pod(
  { phase: "Running" },
  { container: running(), name: "train-b", createdAt: "2026-11-25T12:01:00Z" },
);
const exits = pod(
  { phase: "Failed" },
  { container: { state: { terminated: terminated(3) } }, name: "train-b" },
);
const evicted = pod({ phase: "Failed", reason: "Evicted", message: "low on memory" }, { name: "train-a" });
const leaving = pod(
  { phase: "Running" },
  { container: running(), name: "train-a", deletedAt: "2026-11-25T12:00:30Z" },
);

describe("where an attempt is", () => {
  test("nothing is there of a Job that was deleted", () => {
    expect(jobState(undefined, [])).toEqual({ kind: "gone" });
    expect(jobState(undefined, [leaving])).toEqual({ kind: "gone" });
  });

  test("a Job that was just made has no pod yet", () => {
    expect(jobState(job, [])).toEqual({ kind: "no-pod", disrupted: undefined });
  });

  test("its pod tells where it is", () => {
    expect(jobState(job, [runs])).toMatchObject({ kind: "pod", pod: runs, state: { kind: "running" } });
  });

  test("the end of its pod counts at once, before the Job says so, and after the Job is gone", () => {
    for (const one of [job, failed, undefined]) {
      expect(jobState(one, [exits])).toMatchObject({ kind: "pod", state: { exit: { reason: "exit 3" } } });
    }
  });

  test("a pod that the cluster took away is followed by the next one", () => {
    expect(jobState(job, [evicted])).toEqual({ kind: "no-pod", disrupted: "evicted: low on memory" });
    expect(jobState(job, [evicted, runs])).toMatchObject({ kind: "pod", pod: runs });
    expect(jobState(job, [runs, evicted])).toMatchObject({ kind: "pod", pod: runs });
  });

  test("a pod that is leaving is waited for", () => {
    expect(jobState(job, [leaving])).toEqual({ kind: "no-pod", disrupted: "its pod was deleted" });
  });

  test("without a pod the Job says how it ended", () => {
    expect(jobState(complete, [])).toEqual({
      kind: "unseen",
      succeeded: true,
      reason: "exit 0",
      pod: undefined,
    });
    expect(jobState(failed, [])).toMatchObject({
      kind: "unseen",
      succeeded: false,
      reason: expect.stringContaining("BackoffLimitExceeded: Job has reached the limit"),
    });
  });

  test("a Job that ran out of time has ended its pod, whose exit says nothing", () => {
    expect(jobState(late, [exits])).toEqual({
      kind: "unseen",
      succeeded: false,
      reason: "timed out after 450 s",
      pod: exits,
    });
  });
});
