import { expect, test } from "vitest";
import type { ServerStatus } from "../../../src/operations/operations.ts";
import { run } from "../support/terminal.ts";

const stopped: ServerStatus = {
  ...{ running: false, pid: undefined, version: undefined, home: "/home/me/.bodywork", api: undefined },
  ...{ ingress: undefined, ingressRunning: false, startedAt: undefined },
};
const running: ServerStatus = { ...stopped, running: true, pid: 4711, version: "4.0.0" };

test("configure-cluster makes the home folder and its server ready, and says that there is no more to do", async () => {
  const server = { status: async () => stopped, start: async () => running };
  const { exitCode, stdout, stderr } = await run("configure-cluster", { server });
  expect({ exitCode, stdout }).toEqual({
    exitCode: 0,
    stdout: "There is no cluster to configure: /home/me/.bodywork is ready, and its server runs.\n",
  });
  expect(stderr).toContain("engine: local");
});

test("configure-cluster may be repeated: what runs is left as it is", async () => {
  // Without a `start`: the test would fail if it were called.
  const { exitCode, stdout } = await run("configure-cluster --output json", {
    server: { status: async () => running },
  });
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ running: true, home: "/home/me/.bodywork" });
});
