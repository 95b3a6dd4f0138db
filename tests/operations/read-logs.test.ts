import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Run, ServiceStatus } from "../../src/core/run-state.ts";
import { readLogs } from "../../src/operations/read-logs.ts";
import type { LogReader } from "../../src/ports/engine.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { aRun, aService, aStage } from "../cli/support/records.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** Two logs, of which `chatty` always has more and `silent` never says anything. Knows who reads them. */
function twoLogs() {
  let open = 0;
  const logs: LogReader = {
    async *read(reference, { signal }) {
      open += 1;
      try {
        while (signal?.aborted !== true) {
          if (reference === "chatty") {
            yield "more\n";
          } else {
            await new Promise<void>((resolve) => {
              signal?.addEventListener("abort", () => resolve(), { once: true });
            });
          }
        }
      } finally {
        open -= 1;
      }
    },
  };
  return { logs, open: () => open };
}

function followed(logs: LogReader, references: readonly string[]) {
  const store = openStore(`${temporaryFolder("store")}/store.db`);
  const stages = references.map((reference, index) => {
    const stage = aStage({ node: `stage-${index}`, stage: `stage-${index}` });
    const logs = [{ source: "attempt 1", reference }];
    return {
      ...stage,
      attempts: stage.attempts.map((attempt) => ({ ...attempt, status: "running" as const, logs })),
    };
  });
  store.saveRun(aRun({ id: "r1", deployment: "demo", namespace: "demo", status: "running", stages }));
  return readLogs(
    { deployment: "demo", follow: true },
    { read: (look) => look(store), logs, services: () => [], sleep: () => setImmediate() },
    new AbortController().signal,
  );
}

test.each([
  ["both of which have more to say", ["chatty", "chatty"]],
  ["one of which is silent", ["chatty", "silent"]],
])("whoever leaves while logs are followed, %s, leaves none of them open", async (_which, references) => {
  const { logs, open } = twoLogs();
  let seen = 0;
  for await (const { text } of followed(logs, references)) {
    expect(text).toBe("more\n");
    seen += 1;
    if (seen === 3) break;
  }
  expect(open()).toBe(0);
});

/** Each log says its name, and then nothing until nobody follows it any more. */
const quietLogs: LogReader = {
  async *read(reference, { signal }) {
    yield `${reference}\n`;
    if (signal === undefined || signal.aborted) return;
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  },
};

/** What a follower is shown to the end, while the state becomes the next one at each look. */
async function shown(
  states: readonly { readonly run: Run; readonly services?: readonly ServiceStatus[] }[],
  request: { readonly runId?: string; readonly stage?: string } = {},
): Promise<readonly string[]> {
  const store = openStore(`${temporaryFolder("store")}/store.db`);
  let at = 0;
  const enter = (): void => {
    const state = states[at];
    if (state !== undefined) store.saveRun(state.run);
  };
  enter();
  const texts: string[] = [];
  const sleep = async (): Promise<void> => {
    await setImmediate();
    if (at < states.length - 1) at += 1;
    enter();
  };
  const services = () => states[at]?.services ?? [];
  const parts = { read: <T>(look: (of: typeof store) => T) => look(store), logs: quietLogs, services, sleep };
  for await (const { source, text } of readLogs(
    { deployment: "demo", follow: true, ...request },
    parts,
    undefined,
  )) {
    texts.push(`${source}: ${text.trim()}`);
  }
  return texts;
}

function demoRun(status: Run["status"], ...attempts: readonly ("running" | "succeeded" | "failed")[]): Run {
  const [first] = aStage().attempts;
  if (first === undefined) throw new Error("the stage has no attempt");
  const stage = aStage({
    status: status === "running" ? "running" : "succeeded",
    attempts: attempts.map((each, index) => ({
      ...first,
      status: each,
      logs: [{ source: `attempt ${index + 1}`, reference: `log ${index + 1}` }],
    })),
  });
  return aRun({ id: "20261123-1", deployment: "demo", namespace: "demo", status, stages: [stage] });
}

const demoService = (state: "ready" | "stopped", log = "of the replica"): ServiceStatus => {
  const [replica] = aService().replicas;
  if (replica === undefined) throw new Error("the service has no replica");
  return aService({ deployment: "demo", wantedReplicas: 1, replicas: [{ ...replica, state, log }] });
};

test("the logs of a run that has ended are followed to their end, and no further", async () => {
  const ended = { run: demoRun("succeeded", "succeeded") };
  expect(await shown([ended])).toEqual(["attempt 1: log 1"]);
  expect(await shown([ended], { runId: "20261123-1" })).toEqual(["attempt 1: log 1"]);
  expect(await shown([ended], { stage: "train" })).toEqual(["attempt 1: log 1"]);
});

test("following a run ends with it, and shows the attempts that begin meanwhile", async () => {
  const states = [
    { run: demoRun("running", "running") },
    { run: demoRun("running", "failed", "running") },
    { run: demoRun("succeeded", "failed", "succeeded") },
  ];
  expect(await shown(states)).toEqual(["attempt 1: log 1", "attempt 2: log 2"]);
});

test("following a live service ends when none of its replicas is left", async () => {
  const run = demoRun("succeeded", "succeeded");
  const states = [
    { run, services: [demoService("ready")] },
    { run, services: [demoService("ready", "of the next process")] },
    { run, services: [demoService("stopped", "of the next process")] },
  ];
  expect(await shown(states)).toEqual([
    "attempt 1: log 1",
    "replica 1: of the replica",
    "replica 1: of the next process",
  ]);
});
