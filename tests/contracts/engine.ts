import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BatchTask, ServiceTask } from "../../src/core/run-state.ts";
import type { Engine, TaskObserver } from "../../src/ports/engine.ts";

/**
 * What a stage's program does: ends well with the output `model`; prints "no data" and ends with 3; goes on until it is
 * ended; ends well after a moment. A service answers; never listens; ends at once.
 */
export type BatchProgram = "succeed" | "fail" | "hang" | "pause";
export type ServiceProgram = "serve" | "never-ready" | "dies";

/** An engine and the machine it works on, which outlives it. */
export interface EngineUnderTest {
  readonly engine: Engine;
  /** Kills the server that has the engine, and starts another. */
  restart(): Promise<Engine>;
  batch(program: BatchProgram, change?: Partial<BatchTask>): BatchTask;
  service(program: ServiceProgram, change?: Partial<ServiceTask>): ServiceTask;
  /** How often the task's program was started. */
  starts(task: BatchTask | ServiceTask): number;
  /** Whether something of the task runs. */
  runs(task: BatchTask | ServiceTask): boolean;
  /** Resolves when the task's program has begun. */
  begun(task: BatchTask | ServiceTask): Promise<void>;
  /** Ends everything. */
  stop(): Promise<void>;
}

const never = new AbortController().signal;

interface Heard extends TaskObserver {
  readonly logs: string[];
}

function listen(): Heard {
  const logs: string[] = [];
  return { logs, log: (source) => logs.push(source), note: () => {} };
}

/** What every engine must do, whatever it runs stages on. */
export function describeEngine(name: string, make: () => Promise<EngineUnderTest>): void {
  describe(name, () => {
    let under: EngineUnderTest;
    beforeEach(async () => {
      under = await make();
    });
    afterEach(async () => {
      await under.stop();
    });

    test("a batch stage that ends well has made its outputs, and its log is told", async () => {
      const observer = listen();
      const outcome = await under.engine.runBatch(under.batch("succeed"), observer, never);
      expect(outcome).toMatchObject({
        kind: "succeeded",
        outputs: [
          { name: "model", path: "model.txt", kind: "file", digest: expect.stringMatching(/^sha256:/) },
        ],
      });
      expect(observer.logs).toEqual(["attempt 1"]);
    });

    test("one that fails says how, with its last lines", async () => {
      const outcome = await under.engine.runBatch(under.batch("fail"), listen(), never);
      expect(outcome).toEqual({ kind: "failed", reason: "exit 3", lastLines: ["no data"] });
    });

    test("one that is cancelled is gone when the call returns", async () => {
      const task = under.batch("hang");
      const cancel = new AbortController();
      const outcome = under.engine.runBatch(task, listen(), cancel.signal);
      await under.begun(task);
      cancel.abort();
      expect(await outcome).toEqual({ kind: "cancelled" });
      expect(under.runs(task)).toBe(false);
    });

    test("one that is cancelled before it began never begins", async () => {
      const task = under.batch("hang");
      expect(await under.engine.runBatch(task, listen(), AbortSignal.abort())).toEqual({ kind: "cancelled" });
      expect(under.starts(task)).toBe(0);
    });

    test("an attempt is started once: another server goes on with it where it is", async () => {
      const task = under.batch("pause");
      void under.engine.runBatch(task, listen(), never).catch(() => {});
      await under.begun(task);
      const next = await under.restart();
      expect(await next.runBatch(task, listen(), never)).toMatchObject({ kind: "succeeded" });
      expect(under.starts(task)).toBe(1);
    });

    test("one that ended while no server looked is told as it ended, and not run again", async () => {
      for (const program of ["succeed", "fail"] as const) {
        const task = under.batch(program, { node: program });
        const outcome = await under.engine.runBatch(task, listen(), never);
        const next = await under.restart();
        expect(await next.runBatch(task, listen(), never)).toEqual(outcome);
        expect(under.starts(task)).toBe(1);
      }
    });

    test("the next attempt is another one", async () => {
      const task = under.batch("fail");
      await under.engine.runBatch(task, listen(), never);
      await under.engine.runBatch({ ...task, attempt: 2 }, listen(), never);
      expect(under.starts(task) + under.starts({ ...task, attempt: 2 })).toBe(2);
    });

    test("what a dead server left of a run is ended when the run is, and nothing else", async () => {
      const [mine, other] = [
        under.batch("hang", { runId: "run-1" }),
        under.batch("hang", { runId: "run-2" }),
      ];
      const service = under.service("never-ready", { runId: "run-1" });
      void under.engine.runBatch(mine, listen(), never).catch(() => {});
      void under.engine.runBatch(other, listen(), never).catch(() => {});
      void under.engine.rollOut(service, listen(), never).catch(() => {});
      await Promise.all([mine, other, service].map((task) => under.begun(task)));
      const next = await under.restart();
      await next.endRun("run-1");
      expect([mine, service, other].map((task) => under.runs(task))).toEqual([false, false, true]);
      await next.endRun("run-2");
      expect(under.runs(other)).toBe(false);
    });

    test("ending a run of which nothing is left, and forgetting one that never was, do nothing", async () => {
      const task = under.batch("succeed");
      const outcome = await under.engine.runBatch(task, listen(), never);
      await under.engine.endRun(task.runId);
      expect(await under.engine.runBatch(task, listen(), never)).toEqual(outcome);
      await under.engine.endRun("never");
      await under.engine.removeRun("never");
    });

    test("a service serves when its roll-out is over, and is known until it is removed", async () => {
      const task = under.service("serve");
      const observer = listen();
      expect(await under.engine.rollOut(task, observer, never)).toEqual({ kind: "serving" });
      expect(observer.logs).toContain("replica 1");
      const name = { namespace: task.namespace, stage: task.stage.name };
      expect(under.engine.currentTask(name)).toEqual(task);
      expect(under.engine.services()).toMatchObject([
        { ...name, deployment: "story", release: 1, runId: task.runId, state: "serving", wantedReplicas: 1 },
      ]);
      await under.engine.removeService(name);
      expect(under.engine.currentTask(name)).toBeUndefined();
      expect(under.engine.services()).toEqual([]);
      await under.engine.removeService(name);
    });

    test("rolling the same task out again, by the next server too, starts nothing", async () => {
      const task = under.service("serve");
      await under.engine.rollOut(task, listen(), never);
      expect(await under.engine.rollOut(task, listen(), never)).toEqual({ kind: "serving" });
      const next = await under.restart();
      expect(next.currentTask({ namespace: task.namespace, stage: task.stage.name })).toEqual(task);
      expect(await next.rollOut(task, listen(), never)).toEqual({ kind: "serving" });
      expect(under.starts(task)).toBe(1);
    });

    test("a new release replaces the old one, and the old one can be put back", async () => {
      const one = under.service("serve", { runId: "run-1", release: 1 });
      const two = under.service("serve", { runId: "run-2", release: 2 });
      for (const task of [one, two, one]) {
        expect(await under.engine.rollOut(task, listen(), never)).toEqual({ kind: "serving" });
        expect(under.engine.services().map(({ release }) => release)).toEqual([task.release]);
      }
    });

    test.each(["never-ready", "dies"] as const)(
      "one that %s fails with the reason, and the old one serves on",
      async (program) => {
        const one = under.service("serve", { runId: "run-1" });
        await under.engine.rollOut(one, listen(), never);
        const two = under.service(program, { runId: "run-2", release: 2 });
        const outcome = await under.engine.rollOut(two, listen(), never);
        const says = program === "dies" ? "exit 1" : "not ready within 1 s";
        expect(outcome).toEqual({
          kind: "failed",
          reason: expect.stringContaining(says),
          lastLines: [`it ${program}`],
        });
        expect(under.runs(two)).toBe(false);
        expect(under.engine.services()).toMatchObject([{ release: 1, state: "serving" }]);
      },
    );

    test("a roll-out that is cancelled leaves the old one serving and nothing of the new", async () => {
      const one = under.service("serve", { runId: "run-1" });
      await under.engine.rollOut(one, listen(), never);
      const two = under.service("never-ready", { runId: "run-2", release: 2 });
      const slow = { ...two, stage: { ...two.stage, maxStartupTimeSeconds: 60 } };
      const cancel = new AbortController();
      const outcome = under.engine.rollOut(slow, listen(), cancel.signal);
      await under.begun(slow);
      cancel.abort();
      expect(await outcome).toEqual({ kind: "cancelled" });
      expect(under.runs(slow)).toBe(false);
      expect(under.engine.services()).toMatchObject([{ release: 1, state: "serving" }]);
    });
  });
}
