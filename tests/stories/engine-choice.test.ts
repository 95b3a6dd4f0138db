import { expect, test } from "vitest";
import { bodywork } from "../support/bodywork.ts";

const looks = [
  ["get", "deployments"],
  ["get", "runs"],
  ["get", "cronjobs"],
  ["get", "secrets"],
] as const;

test("what contradicts itself, or names an engine that does not exist, is refused by every command", async () => {
  const docker = bodywork({ BODYWORK_ENGINE: "docker" });
  const both = ["--engine", "local", "--server", "https://server.test"];
  for (const [tool, more, why] of [
    [docker, [], 'BODYWORK_ENGINE is "docker"'],
    [bodywork({ BODYWORK_ENGINE: "" }), both, "--engine is local, and --server is https://server.test"],
  ] as const) {
    const commands = [...looks, ["create", "deployment", "file:///gone"], ["server", "status"]];
    const all = await Promise.all(commands.map((words) => tool.run(...words, ...more)));
    for (const { exitCode, stdout, stderr } of all) {
      expect(stderr).toContain(`Cannot choose an engine: ${why}.`);
      expect([exitCode, stdout]).toEqual([1, ""]);
    }
  }
}, 120_000);

test.each([
  ["with a KUBECONFIG that is not there", { KUBECONFIG: "/gone/config" }, [], "none could be chosen"],
  ["in a CI job", { CI: "true" }, [], "none could be chosen: this is a CI job"],
])(
  "who looks %s is told that it is this machine's own engine that is shown",
  async (_how, set, more, why) => {
    const tool = bodywork({ BODYWORK_ENGINE: "", ...set });
    const all = await Promise.all(looks.map((words) => tool.run(...words, ...more)));
    for (const { exitCode, stderr } of all) {
      expect(exitCode).toBe(0);
      expect(stderr).toContain("Shown is this machine's own engine");
      expect(stderr).toContain(why);
      expect(stderr).not.toContain("Not shown");
    }
  },
  120_000,
);

test.each([
  ["--engine kubernetes", {}, ["--engine", "kubernetes"]],
  ["BODYWORK_ENGINE", { BODYWORK_ENGINE: "kubernetes" }, []],
])(
  "who chooses a cluster by %s, and has no kubeconfig, is refused, and nothing is done here",
  async (_how, set, more) => {
    const tool = bodywork({ BODYWORK_ENGINE: "", ...set });
    for (const words of [...looks, ["create", "deployment", "file:///gone"]]) {
      const { exitCode, stdout, stderr } = await tool.run(...words, ...more);
      expect(stderr).toContain("Cannot load authentication credentials from kubeconfig");
      expect([exitCode, stdout]).toEqual([1, ""]);
    }
  },
  120_000,
);

test("CI=false is no CI job", async () => {
  const { exitCode, stderr } = await bodywork({ BODYWORK_ENGINE: "", CI: "false" }).run("get", "deployments");
  expect([exitCode, stderr]).toEqual([0, ""]);
}, 60_000);
