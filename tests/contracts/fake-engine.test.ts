import type { BatchTask, ServiceTask } from "../../src/core/run-state.ts";
import { type Behaviour, fakeMachine } from "../support/fake-engine.ts";
import { batchStage, batchTask, serviceStage, serviceTask } from "../support/tasks.ts";
import { type BatchProgram, describeEngine, type ServiceProgram } from "./engine.ts";

const model = { name: "model", path: "model.txt", digest: "sha256:1", kind: "file", bytes: 1 } as const;
const behaviours: Readonly<Record<BatchProgram | ServiceProgram, Behaviour>> = {
  succeed: { does: "succeed", outputs: { kind: "succeeded", outputs: [model] } },
  fail: { does: "fail", reason: "exit 3", lastLines: ["no data"] },
  hang: { does: "hang" },
  pause: { does: "succeed" },
  serve: { does: "succeed" },
  "never-ready": { does: "hang" },
  dies: { does: "fail", reason: "ended (exit 1)", lastLines: ["it dies"] },
};
/** What a machine without time gives up on at once, unless it has a minute. */
const notReady: Behaviour = {
  does: "fail",
  reason: "was not ready within 1 s",
  lastLines: ["it never-ready"],
};

describeEngine("the fake engine", async () => {
  const machine = fakeMachine();
  let engine = machine.connect();
  for (const [program, behaviour] of Object.entries(behaviours)) machine.behaviours.set(program, behaviour);
  machine.behaviours.set("service", (task) => {
    const program = task.stage.modulePath.replace(".py", "") as ServiceProgram;
    const late =
      task.stage.kind === "service" && task.stage.maxStartupTimeSeconds === 1 && task.release === 2;
    return program === "never-ready" && late ? notReady : behaviours[program];
  });
  const keyOf = (task: BatchTask | ServiceTask): string =>
    `${task.runId}/${task.node}/${"attempt" in task ? task.attempt : "candidate"}`;
  const runs = (task: BatchTask | ServiceTask): boolean => machine.runningKeys().includes(keyOf(task));
  return {
    get engine() {
      return engine;
    },
    async restart() {
      engine.cutOff();
      engine = machine.connect();
      return engine;
    },
    batch: (program, change) => batchTask(batchStage(program), change),
    service: (program, change) =>
      serviceTask(serviceStage("service", { modulePath: `${program}.py`, maxStartupTimeSeconds: 1 }), change),
    starts: (task) => machine.starts().get(keyOf(task)) ?? 0,
    runs,
    async begun(task) {
      while (!runs(task)) await new Promise((resolve) => setImmediate(resolve));
    },
    async stop() {},
  };
});
