import { describe, expect, test } from "vitest";

import type { StartTrouble } from "../../../../src/engines/kubernetes/read-status/pod-state.ts";
import { startVerdict } from "../../../../src/engines/kubernetes/read-status/start-verdict.ts";

const what = { kind: "jobs", name: "train" } as const;
const creating = (hope: StartTrouble["hope"], about: StartTrouble["about"] = "image") => ({
  kind: "creating" as const,
  trouble: { about, reason: "ErrImagePull", message: "x: not found", hope },
});
const verdict = (state: Parameters<typeof startVerdict>[0], starting: number, inTrouble = 0) =>
  startVerdict(state, { starting, inTrouble }, 300, what);

describe("a pod that has not started", () => {
  test("gets its time in silence while nothing is wrong", () => {
    expect(verdict({ kind: "creating", trouble: undefined }, 10)).toEqual({
      kind: "wait",
      note: undefined,
      again: 290,
    });
    expect(verdict({ kind: "creating", trouble: undefined }, 300)).toEqual({
      kind: "fail",
      reason: "did not start within 300 s",
    });
  });

  test("that no node takes is told of at once, and waited for: a node may come", () => {
    const state = { kind: "unscheduled", message: "0/1 nodes are available: 1 Insufficient cpu." } as const;
    const note = "Inadequate cluster cpu to start jobs (train): 0/1 nodes are available: 1 Insufficient cpu.";
    expect(verdict(state, 0)).toEqual({ kind: "wait", note, again: 300 });
    expect(verdict(state, 300)).toEqual({ kind: "fail", reason: `did not start within 300 s: ${note}` });
  });

  test("whose image can't exist fails at once", () => {
    expect(verdict(creating("never"), 0)).toEqual({
      kind: "fail",
      reason: "its image cannot be had: ErrImagePull: x: not found",
    });
  });

  test("whose image is refused gets a few tries, not all its time", () => {
    expect(verdict(creating("hardly"), 5, 5)).toMatchObject({ kind: "wait", again: 25 });
    expect(verdict(creating("hardly"), 35, 30)).toMatchObject({ kind: "fail" });
  });

  test("whose registry does not answer gets all its time", () => {
    expect(verdict(creating("maybe"), 200, 190)).toMatchObject({ kind: "wait", again: 100 });
    expect(verdict(creating("maybe"), 300, 290)).toMatchObject({ kind: "fail" });
  });

  test("says what it lacks", () => {
    expect(verdict(creating("hardly", "configuration"), 30, 30)).toMatchObject({
      reason: "its container lacks something: ErrImagePull: x: not found",
    });
    expect(verdict(creating("never", "container"), 0)).toMatchObject({
      reason: "its container cannot be made: ErrImagePull: x: not found",
    });
  });
});
