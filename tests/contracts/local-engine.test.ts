import { isAlive, leaveMark, localMachine, until } from "../support/local-machine.ts";
import { answering } from "../support/pipelines.ts";
import { batchStage, batchTask, serviceStage, serviceTask } from "../support/tasks.ts";
import { type BatchProgram, describeEngine, type ServiceProgram } from "./engine.ts";

const programs: Readonly<Record<BatchProgram | ServiceProgram, string>> = {
  succeed: `${leaveMark}open("model.txt", "w").write("model")\n`,
  fail: `${leaveMark}print("no data")\nraise SystemExit(3)\n`,
  hang: `${leaveMark}time.sleep(600)\n`,
  pause: `${leaveMark}time.sleep(1)\n`,
  serve: `${leaveMark}${answering("one")}`,
  "never-ready": `${leaveMark}print("it never-ready")\ntime.sleep(600)\n`,
  dies: `${leaveMark}print("it dies")\nraise SystemExit(1)\n`,
};

describeEngine("the local engine", async () => {
  const files = Object.entries(programs).map(([name, text]) => [`${name}.py`, text]);
  const machine = await localMachine(Object.fromEntries(files));
  let life = await machine.connect();
  const runIds = new Set<string>();
  const known = <T extends { readonly runId: string }>(task: T): T => {
    runIds.add(task.runId);
    return task;
  };
  return {
    get engine() {
      return life.engine;
    },
    async restart() {
      life.kill();
      life = await machine.connect();
      return life.engine;
    },
    batch(program, change) {
      const stage = batchStage(program, program === "succeed" ? { outputs: { model: "model.txt" } } : {});
      return known(machine.of(batchTask(stage, change)));
    },
    service(program, change) {
      const startup = program === "never-ready" ? 1 : 30;
      const stage = serviceStage("service", {
        modulePath: `${program}.py`,
        maxStartupTimeSeconds: startup,
      });
      return known(machine.of(serviceTask(stage, change)));
    },
    starts: (task) => machine.pids(task).length,
    runs: (task) => machine.pids(task).some(isAlive),
    begun: (task) => until(() => machine.pids(task).length > 0),
    async stop() {
      for (const runId of runIds) await life.engine.endRun(runId);
      await machine.stop();
    },
  };
});
