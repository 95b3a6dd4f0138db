import { describe, expect, test } from "vitest";

import { ClusterError } from "../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../src/engines/kubernetes/client/kinds.ts";
import { endJobs, forgetOutcomes, runBatch } from "../../../src/engines/kubernetes/run-batch.ts";
import {
  calm,
  exited,
  type FakeRooms,
  fakeRooms,
  listen,
  nextController,
  only,
  putPod,
  runs,
  trainTask,
} from "./support/rooms.ts";

const never = new AbortController().signal;
const place = { namespace: "space", name: "train-1" };
const model = { name: "model", path: "model.txt", digest: "sha256:1", kind: "file", bytes: 1 } as const;
const log = [
  "[25/11/26 12:00:00] INFO     Attempting to run module = train.py",
  "no data",
  "[25/11/26 12:00:01] ERROR    Stage train failed - CalledProcessError(3)",
  "",
].join("\n");

/** What a stage comes to when its pod does what `play` says. */
async function outcomeOf(
  rooms: FakeRooms,
  play: (rooms: FakeRooms) => void | Promise<void>,
  task = trainTask(),
) {
  const observer = listen();
  const outcome = runBatch(task, observer, never, rooms);
  await calm();
  await play(rooms);
  return { outcome: await outcome, observer };
}

describe("a batch stage", () => {
  test("succeeds with what its program says that it has made, and its Job goes", async () => {
    const rooms = fakeRooms();
    const { outcome, observer } = await outcomeOf(rooms, async ({ cluster }) => {
      putPod(cluster, only(cluster, "job"), runs);
      await calm();
      putPod(cluster, only(cluster, "job"), exited(0, { status: "succeeded", outputs: [model] }));
    });
    expect(outcome).toEqual({ kind: "succeeded", outputs: [model] });
    expect(rooms.cluster.objects(kinds.job)).toEqual([]);
    expect(observer.logs).toEqual(["attempt 1"]);
    expect(observer.notes).toEqual([
      "Creating k8s job for stage = train",
      expect.stringMatching(/^Monitoring k8s jobs, timeout at \[\d\d\/\d\d\/\d\d \d\d:\d\d:\d\d\] \(150s\)$/),
      "Completed k8s job for stage = train",
      "Deleting k8s job for stage = train",
      "Deleted k8s job for stage = train",
    ]);
  });

  test.each([
    [{ retries: 1, maxCompletionTimeSeconds: 60 }, "(150s)"],
    [{ retries: 3, maxCompletionTimeSeconds: 30 }, "(270s)"],
    [{ retries: 0, maxCompletionTimeSeconds: 60 }, "(150s)"],
    [{ retries: 2, maxCompletionTimeSeconds: 100 }, "(290s)"],
    [{ retries: 2, maxCompletionTimeSeconds: 0 }, "no timeout"],
  ])("tells its time-out as the original does: %o", async (stage, says) => {
    const { observer } = await outcomeOf(
      fakeRooms(),
      ({ cluster }) => void putPod(cluster, only(cluster, "job"), exited(0)),
      trainTask({}, stage),
    );
    expect(observer.notes[1]).toContain(says);
  });

  test("that fails says how, with the last lines of its module, and its log is kept", async () => {
    const rooms = fakeRooms();
    const { outcome } = await outcomeOf(rooms, ({ cluster }) => {
      cluster.setLog(place, log);
      putPod(
        cluster,
        only(cluster, "job"),
        exited(1, { status: "failed", reason: "exit 3", phase: "module" }),
      );
    });
    expect(outcome).toEqual({ kind: "failed", reason: "exit 3", lastLines: ["no data"] });
    const [record] = rooms.cluster
      .objects(kinds.secret)
      .filter(({ metadata }) => metadata.name.includes("log"));
    expect(record?.metadata).toMatchObject({
      namespace: "bodywork-deployment-jobs",
      labels: { "bodywork.io/record": "log", "bodywork.io/run": "run-1" },
    });
  });

  test("goes on from the end of its pod, and does not wait for its Job to notice", async () => {
    const rooms = fakeRooms();
    const { outcome } = await outcomeOf(rooms, ({ cluster }) => {
      putPod(cluster, only(cluster, "job"), exited(0));
      expect(only(cluster, "job").status).toBeUndefined();
    });
    expect(outcome.kind).toBe("succeeded");
  });

  test("whose program does not say what it has made has failed", async () => {
    const task = trainTask({ outputs: { model: "model.txt" } });
    const { outcome } = await outcomeOf(
      fakeRooms(),
      ({ cluster }) => void putPod(cluster, only(cluster, "job"), exited(0)),
      task,
    );
    expect(outcome).toMatchObject({ kind: "failed", reason: expect.stringContaining("did not say") });
  });

  test("is on record before its Job goes, and told from there again", async () => {
    const rooms = fakeRooms();
    let recordedAtDeletion: number | undefined;
    rooms.cluster.before = ({ verb, kind }) => {
      if (verb === "delete" && kind === "Job") recordedAtDeletion = rooms.store.documents("outcomes").size;
    };
    const { outcome } = await outcomeOf(rooms, ({ cluster }) => {
      cluster.setLog(place, log);
      putPod(cluster, only(cluster, "job"), exited(1, { status: "failed", reason: "exit 3" }));
    });
    expect(recordedAtDeletion).toBe(1);
    const observer = listen();
    expect(await runBatch(trainTask(), observer, never, nextController(rooms))).toEqual(outcome);
    expect(observer.logs).toEqual(["attempt 1"]);
    expect(rooms.cluster.calls.filter((call) => call.startsWith("create Job"))).toHaveLength(1);
    forgetOutcomes("run-1", rooms);
    expect(rooms.store.documents("outcomes").size).toBe(0);
  });

  test("that another controller has started is gone on with", async () => {
    const rooms = fakeRooms();
    void runBatch(trainTask(), listen(), never, rooms);
    await calm();
    const { outcome, observer } = await outcomeOf(
      nextController(rooms),
      ({ cluster }) => void putPod(cluster, only(cluster, "job"), exited(0)),
    );
    expect(outcome.kind).toBe("succeeded");
    expect(observer.notes).not.toContain("Creating k8s job for stage = train");
    expect(rooms.cluster.calls.filter((call) => call.startsWith("create Job"))).toHaveLength(1);
  });

  test("goes on when the answer to the creation of its Job was lost", async () => {
    const rooms = fakeRooms();
    rooms.cluster.after = ({ verb, kind }) => {
      if (verb !== "create" || kind !== "Job") return;
      rooms.cluster.after = undefined;
      throw new ClusterError("already-exists", "it was made by the call before");
    };
    const { outcome } = await outcomeOf(
      rooms,
      ({ cluster }) => void putPod(cluster, only(cluster, "job"), exited(0)),
    );
    expect(outcome.kind).toBe("succeeded");
  });

  test.each([{ runId: "run-0" }, { attempt: 2 }])("makes room: the Job of %o goes first", async (other) => {
    const rooms = fakeRooms();
    void runBatch(trainTask(other), listen(), never, rooms);
    await calm();
    const former = only(rooms.cluster, "job").metadata.uid;
    const { outcome } = await outcomeOf(nextController(rooms), ({ cluster }) => {
      expect(only(cluster, "job").metadata.uid).not.toBe(former);
      putPod(cluster, only(cluster, "job"), { name: "train-2", ...exited(0) });
    });
    expect(outcome.kind).toBe("succeeded");
  });

  test("refuses a Job of that name which is not Bodywork's", async () => {
    const rooms = fakeRooms();
    rooms.cluster.put({
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: "train", namespace: "space" },
    });
    await expect(runBatch(trainTask(), listen(), never, rooms)).rejects.toMatchObject({
      code: "namespace-taken",
    });
    expect(only(rooms.cluster, "job").metadata.labels).toBeUndefined();
  });

  test("follows the pod that takes the place of one which was evicted", async () => {
    const { outcome, observer } = await outcomeOf(fakeRooms(), async ({ cluster }) => {
      putPod(cluster, only(cluster, "job"), runs);
      await calm();
      putPod(cluster, only(cluster, "job"), {
        status: { phase: "Failed", reason: "Evicted", message: "no memory" },
      });
      await calm();
      putPod(cluster, only(cluster, "job"), { name: "train-2", ...exited(0) });
    });
    expect(outcome.kind).toBe("succeeded");
    expect(observer.notes).toContain(
      "The pod of stage = train is lost (evicted: no memory); another takes its place.",
    );
    expect(observer.logs).toEqual(["attempt 1", "attempt 1"]);
  });

  test("is lost when its Job was deleted by somebody else", async () => {
    const { outcome } = await outcomeOf(fakeRooms(), async ({ cluster, clock }) => {
      cluster.remove(kinds.job, { namespace: "space", name: "train" });
      await calm();
      clock.pass(1);
    });
    expect(outcome).toMatchObject({ kind: "lost", reason: "its Job was deleted by somebody else" });
  });

  test("whose pod is gone ends as its Job says", async () => {
    const end = (type: string, reason: string) => (rooms: FakeRooms) =>
      void rooms.cluster.put({
        ...only(rooms.cluster, "job"),
        status: { conditions: [{ type, status: "True", reason }] },
      });
    const ended = async (type: string, reason: string, task = trainTask()) =>
      (await outcomeOf(fakeRooms(), end(type, reason), task)).outcome;
    expect(await ended("Complete", "")).toEqual({ kind: "succeeded", outputs: [] });
    expect(await ended("Failed", "DeadlineExceeded")).toMatchObject({
      kind: "failed",
      reason: "timed out after 450 s",
    });
    const withOutputs = trainTask({ outputs: { model: "model.txt" } });
    expect(await ended("Complete", "", withOutputs)).toMatchObject({ kind: "lost" });
  });

  test("that no node takes is told of at once, and given up after its time", async () => {
    const message = "0/1 nodes are available: 1 Insufficient memory.";
    const { outcome, observer } = await outcomeOf(fakeRooms(), async ({ cluster, clock }) => {
      const conditions = [{ type: "PodScheduled", status: "False", message }];
      putPod(cluster, only(cluster, "job"), { status: { conditions }, node: "" });
      await calm();
      clock.pass(301);
    });
    const text = `Inadequate cluster memory to start jobs (train): ${message}`;
    expect(observer.notes).toContain(text);
    expect(outcome).toEqual({ kind: "failed", reason: `did not start within 300 s: ${text}`, lastLines: [] });
  });

  test("whose image is no image fails at once", async () => {
    const { outcome } = await outcomeOf(fakeRooms(), ({ cluster }) => {
      const waiting = { reason: "InvalidImageName", message: "couldn't parse image name" };
      putPod(cluster, only(cluster, "job"), { state: { waiting } });
    });
    expect(outcome).toMatchObject({
      kind: "failed",
      reason: "its image cannot be had: InvalidImageName: couldn't parse image name",
    });
  });

  test("whose pod is not made in time says what its node said", async () => {
    const { outcome } = await outcomeOf(fakeRooms(), async ({ cluster, clock }) => {
      const pod = putPod(cluster, only(cluster, "job"), {
        state: { waiting: { reason: "ContainerCreating" } },
      });
      cluster.put({
        apiVersion: "v1",
        kind: "Event",
        metadata: { name: "e", namespace: "space" },
        involvedObject: { uid: pod.metadata.uid },
        type: "Warning",
        message: 'MountVolume.SetUp failed for volume "cache"',
      });
      await calm();
      clock.pass(301);
    });
    expect(outcome).toMatchObject({
      reason: 'did not start within 300 s: MountVolume.SetUp failed for volume "cache"',
    });
  });

  test("whose pods a quota refuses is told of, and given up after its time", async () => {
    const { outcome, observer } = await outcomeOf(fakeRooms(), async ({ cluster, clock }) => {
      cluster.put({
        apiVersion: "v1",
        kind: "Event",
        metadata: { name: "e", namespace: "space" },
        involvedObject: { uid: only(cluster, "job").metadata.uid },
        reason: "FailedCreate",
        message: "exceeded quota: pods=0",
      });
      clock.pass(4);
      await calm();
      clock.pass(300);
    });
    expect(observer.notes).toContain("Its pods are refused: exceeded quota: pods=0");
    expect(outcome).toMatchObject({
      kind: "failed",
      reason: "had no pod within 300 s: they are refused: exceeded quota: pods=0",
    });
  });

  test("that is cancelled before it began makes nothing", async () => {
    const rooms = fakeRooms();
    expect(await runBatch(trainTask(), listen(), AbortSignal.abort(), rooms)).toEqual({ kind: "cancelled" });
    expect(rooms.cluster.objects(kinds.job)).toEqual([]);
  });

  test("that is cancelled returns when its pod is gone", async () => {
    const rooms = fakeRooms();
    const cancel = new AbortController();
    let returned = false;
    const observer = listen();
    const outcome = runBatch(trainTask(), observer, cancel.signal, rooms).finally(() => {
      returned = true;
    });
    await calm();
    // The pod is still leaving when its Job is gone.
    const pod = putPod(
      rooms.cluster,
      { ...only(rooms.cluster, "job"), metadata: { name: "train", namespace: "space" } },
      runs,
    );
    await calm();
    cancel.abort();
    await calm();
    expect(rooms.cluster.objects(kinds.job)).toEqual([]);
    expect(returned).toBe(false);
    rooms.cluster.remove(kinds.pod, { namespace: "space", name: pod.metadata.name });
    expect(await outcome).toEqual({ kind: "cancelled" });
    expect(observer.notes.at(-1)).toBe("Deleted k8s job for stage = train");
  });
});

test("Jobs that a run has left are ended, and those of other runs are not", async () => {
  const rooms = fakeRooms();
  void runBatch(trainTask({ runId: "run-1" }), listen(), never, rooms);
  const other = trainTask({ runId: "run-2", node: "other" });
  void runBatch({ ...other, stage: { ...other.stage, name: "other" } }, listen(), never, rooms);
  await calm();
  await endJobs("run-1", rooms);
  expect(rooms.cluster.objects(kinds.job).map(({ metadata }) => metadata.name)).toEqual(["other"]);
  await endJobs("never", rooms);
});
