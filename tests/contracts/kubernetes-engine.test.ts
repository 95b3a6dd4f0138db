import { describe } from "vitest";

import { cluster } from "../support/cluster.ts";
import { kubernetesMachine } from "../support/kubernetes-machine.ts";
import { answering } from "../support/pipelines.ts";
import { batchStage, batchTask, serviceStage, serviceTask } from "../support/tasks.ts";
import { type BatchProgram, describeEngine, type ServiceProgram } from "./engine.ts";

const programs: Readonly<Record<BatchProgram | ServiceProgram, string>> = {
  succeed: `open("model.txt", "w").write("model")\n`,
  fail: `print("no data")\nraise SystemExit(3)\n`,
  hang: `import time\ntime.sleep(600)\n`,
  pause: `import time\ntime.sleep(3)\n`,
  serve: answering("one"),
  "never-ready": `import time\nprint("it never-ready")\ntime.sleep(600)\n`,
  dies: `print("it dies")\nraise SystemExit(1)\n`,
};

describe.skipIf(cluster === undefined)("on a real cluster", { timeout: 180_000 }, () => {
  describeEngine("the kubernetes engine", async () => {
    if (cluster === undefined) throw new Error("there is no cluster");
    const files = Object.entries(programs).map(([name, text]) => [`${name}.py`, text]);
    const machine = await kubernetesMachine(cluster, Object.fromEntries(files));
    return {
      get engine() {
        return machine.engine;
      },
      restart: machine.restart,
      batch: (program, change) =>
        machine.of(
          batchTask(
            batchStage(change?.runId === undefined ? program : `${program}-${change.runId}`, {
              modulePath: `${program}.py`,
              ...(program === "succeed" ? { outputs: { model: "model.txt" } } : {}),
            }),
            change,
          ),
        ),
      service(program, change) {
        const startup = program === "never-ready" ? 1 : 30;
        return machine.of(
          serviceTask(
            serviceStage("service", { modulePath: `${program}.py`, maxStartupTimeSeconds: startup }),
            change,
          ),
        );
      },
      starts: machine.starts,
      runs: machine.runs,
      begun: machine.begun,
      stop: machine.stop,
    };
  });
});
