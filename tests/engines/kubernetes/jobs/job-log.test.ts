import { expect, test } from "vitest";

import type { Attempt, RunEvent } from "../../../../src/core/run-state.ts";
import { managementNamespace as namespace } from "../../../../src/engines/kubernetes/vocabulary.ts";
import { aStage } from "../../../store/records.ts";
import { failureOf, room } from "./support.ts";

const id = "async-workflow-a";

async function all(events: AsyncIterable<RunEvent>): Promise<readonly RunEvent[]> {
  const found: RunEvent[] = [];
  for await (const event of events) found.push(event);
  return found;
}

test("the log of a job is the story of its newest run, with each stage's log where it ended", async () => {
  const { jobLog, putJob, ran, store, logs } = room();
  putJob(id, {});
  ran(id, "run-01", { status: "failed" });
  const attempt: Attempt = {
    ...{ number: 1, status: "succeeded", reason: undefined, lastLines: [] },
    logs: [{ source: "attempt 1", reference: "log:train" }],
    ...{ startedAt: "2026-11-25T02:00:00.000Z", endedAt: undefined },
  };
  ran(id, "run-02", { stages: [{ ...aStage("train"), status: "succeeded", attempts: [attempt] }] });
  logs.set("log:train", "trained\n");
  const at = new Date("2026-11-25T02:00:00.000Z");
  store.addEvent("run-02", { kind: "stage", node: "train", status: "succeeded" }, at);
  store.addEvent("run-02", { kind: "run", status: "succeeded" }, at);
  expect(await all(jobLog("a"))).toMatchObject([
    { kind: "log", node: "train", source: "attempt 1", text: "trained\n" },
    { kind: "stage", node: "train" },
    { kind: "run", status: "succeeded" },
  ]);
});

test("the log of a job whose controller has recorded nothing yet is what that has printed", async () => {
  const { jobLog, putJob, putPod, cluster } = room();
  putJob(id, {});
  putPod("p", id, { phase: "Running" });
  cluster.setLog({ namespace, name: "p" }, "engine: kubernetes\n");
  expect(await all(jobLog(id))).toMatchObject([
    { kind: "log", node: id, source: "controller", text: "engine: kubernetes\n" },
  ]);
});

test("a job without any log says why it has none", async () => {
  const { jobLog, putJob, putPod } = room();
  putJob(id, {});
  const waiting = { reason: "ErrImagePull", message: "not found" };
  putPod("p", id, { phase: "Pending", containerStatuses: [{ name: "bodywork", state: { waiting } }] });
  expect(await failureOf(all(jobLog(id)))).toMatchObject({
    code: "not-found",
    message: expect.stringMatching(
      /^Cannot find run ID = async-workflow-a: it is waiting \(the image ours:1 cannot be had/,
    ),
  });
  expect((await failureOf(all(jobLog("gone")))).message).toBe(
    "Cannot find run ID = gone: there is no such run.",
  );
});
