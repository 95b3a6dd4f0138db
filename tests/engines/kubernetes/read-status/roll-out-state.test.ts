import { describe, expect, test } from "vitest";

import type { KubernetesObject } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { podState } from "../../../../src/engines/kubernetes/read-status/pod-state.ts";
import { rollOutState, type SeenPod } from "../../../../src/engines/kubernetes/read-status/roll-out-state.ts";
import { pod, running, terminated, waiting, withConditions } from "./statuses.ts";

const limits = { startUp: 10, startTimeout: 300, name: "serve" };
const forever = Number.POSITIVE_INFINITY;

function deployment(
  status: Record<string, unknown> = {},
  conditions: readonly Record<string, string>[] = [],
): KubernetesObject {
  const counts = { updatedReplicas: 1, replicas: 3, availableReplicas: 2, ...status };
  return withConditions("Deployment", conditions, { spec: { replicas: 2 }, status: counts });
}

const complete = { updatedReplicas: 2, replicas: 2, availableReplicas: 2 };

function seen(object: KubernetesObject, times: Partial<SeenPod> = {}): SeenPod {
  const state = podState(object);
  return { pod: object, state, starting: 0, inTrouble: 0, running: 0, module: undefined, ...times };
}

const service = (container: Record<string, unknown>, deletedAt?: string): KubernetesObject =>
  pod(
    { phase: "Running" },
    { container, restartPolicy: "Always", ...(deletedAt === undefined ? {} : { deletedAt }) },
  );
const starting = service(running());
const crashes = (restartCount: number) =>
  service({ ...waiting("CrashLoopBackOff"), restartCount, lastState: { terminated: terminated(1) } });

describe("a roll-out", () => {
  test("is done when all replicas are new and available, and no old one is left", () => {
    expect(rollOutState(deployment(complete), [], 0, limits)).toEqual({ kind: "done" });
    for (const missing of [
      { updatedReplicas: 1 },
      { replicas: 3 },
      { availableReplicas: 1 },
      { observedGeneration: 1 },
    ]) {
      const state = rollOutState(deployment({ ...complete, ...missing }), [], 0, limits);
      expect(state).toMatchObject({ kind: "going" });
    }
  });

  test("of no replicas is done when there are none", () => {
    const none = withConditions("Deployment", [], { spec: { replicas: 0 } });
    expect(rollOutState(none, [], 0, limits)).toEqual({ kind: "done" });
  });

  test("waits for requirements a minute, and for the module as long as the stage says", () => {
    expect(rollOutState(deployment(), [seen(starting, { running: 20 })], 0, limits)).toEqual({
      kind: "going",
      notes: [],
      again: 40,
    });
    const begun = seen(starting, { running: 20, module: 4 });
    expect(rollOutState(deployment(), [begun], 0, limits)).toEqual({ kind: "going", notes: [], again: 6 });
    expect(rollOutState(deployment(), [seen(starting, { running: 20, module: 10 })], 0, limits)).toEqual({
      kind: "failed",
      reason: "not ready within 10 s",
      pod: starting,
    });
    expect(rollOutState(deployment(), [seen(starting, { running: 60 })], 0, limits)).toMatchObject({
      kind: "failed",
      reason: expect.stringContaining("not ready within 60 s: its module had not begun"),
    });
  });

  test("waits no longer for a replica that is ready", () => {
    const ready = service(running({ ready: true }));
    const state = rollOutState(deployment(), [seen(ready, { running: 900, module: 900 })], 0, limits);
    expect(state).toEqual({ kind: "going", notes: [], again: forever });
  });

  test("bears one end of a replica, and fails by the second", () => {
    const once = service({ state: { terminated: terminated(1) } });
    expect(rollOutState(deployment(), [seen(once)], 0, limits)).toMatchObject({ kind: "going" });
    const twice = service({ state: { terminated: terminated(1) }, restartCount: 1 });
    for (const looping of [twice, crashes(1), crashes(5)]) {
      expect(rollOutState(deployment(), [seen(looping)], 0, limits)).toEqual({
        kind: "failed",
        reason: "keeps ending (exit 1)",
        pod: looping,
      });
    }
  });

  test("fails by a replica that runs for the third time and is not ready", () => {
    const again = service(running({ restartCount: 2, lastState: { terminated: terminated(137) } }));
    expect(rollOutState(deployment(), [seen(again)], 0, limits)).toMatchObject({
      kind: "failed",
      reason: "keeps ending (SIGKILL)",
    });
  });

  test("does not judge pods that leave, and those that the cluster took away", () => {
    const leaving = service(running(), "2026-11-25T12:00:00Z");
    const evicted = pod({ phase: "Failed", reason: "Evicted" });
    const state = rollOutState(deployment(), [seen(leaving, { module: 99 }), seen(evicted)], 0, limits);
    expect(state).toEqual({ kind: "going", notes: [], again: forever });
  });

  test("tells what its pods wait for", () => {
    const image = pod({}, { container: waiting("ErrImagePull", "i/o timeout"), restartPolicy: "Always" });
    expect(rollOutState(deployment(), [seen(image, { starting: 100 })], 0, limits)).toEqual({
      kind: "going",
      notes: ["its image cannot be had: ErrImagePull: i/o timeout"],
      again: 200,
    });
    expect(rollOutState(deployment(), [seen(image, { starting: 300 })], 0, limits)).toMatchObject({
      kind: "failed",
      pod: image,
    });
  });

  test("whose pods are refused is told of, and fails when that lasts", () => {
    const quota = {
      type: "ReplicaFailure",
      status: "True",
      reason: "FailedCreate",
      message: "exceeded quota",
    };
    const refused = deployment({ updatedReplicas: 0 }, [quota]);
    expect(rollOutState(refused, [], 100, limits)).toEqual({
      kind: "going",
      notes: ["Its pods are refused: exceeded quota"],
      again: 200,
    });
    expect(rollOutState(refused, [], 300, limits)).toMatchObject({
      kind: "failed",
      reason: "its pods are refused since 300 s: exceeded quota",
    });
  });

  test("without progress fails in the cluster's words, but not for those of the generation before", () => {
    const overdue = {
      type: "Progressing",
      status: "False",
      reason: "ProgressDeadlineExceeded",
      message: 'ReplicaSet "serve-1" has timed out progressing.',
    };
    expect(rollOutState(deployment({}, [overdue]), [], 0, limits)).toMatchObject({
      kind: "failed",
      reason: 'made no progress: ReplicaSet "serve-1" has timed out progressing.',
    });
    const before = deployment({ observedGeneration: 1 }, [overdue]);
    expect(rollOutState(before, [], 0, limits)).toMatchObject({ kind: "going" });
  });
});
