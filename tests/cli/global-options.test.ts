import { describe, expect, test } from "vitest";
import type { ConnectionOptions } from "../../src/cli/cli-io.ts";
import { aDeployment } from "./support/records.ts";
import { run } from "./support/terminal.ts";

const deleted = {
  operations: { deleteDeployment: async () => ({ found: true }), deployments: async () => [aDeployment()] },
};

describe("where a command goes", () => {
  test("is told before anything is asked", async () => {
    const told: ConnectionOptions[] = [];
    const { exitCode } = await run("--server https://b.test --engine local delete deployment d --yes", {
      ...deleted,
      wiring: {
        use: (options) => told.push(options),
        engineNotice: async () => {
          expect(told).toHaveLength(1);
          return { engine: "https://b.test", why: "--server names it" };
        },
      },
    });
    expect(exitCode).toBe(0);
    expect(told).toEqual([{ server: "https://b.test", token: undefined, engine: "local" }]);
  });

  test("is left to the environment when the command line says nothing", async () => {
    // The test's wiring throws when `use` is called.
    expect((await run("delete deployment d --yes", deleted)).exitCode).toBe(0);
  });

  test("is said by a token alone too, and whoever types it learns who can see it", async () => {
    const told: ConnectionOptions[] = [];
    const wiring = { use: (options: ConnectionOptions) => void told.push(options) };
    const { stderr } = await run("delete deployment d --yes --token bw_1234", { ...deleted, wiring });
    expect(told[0]?.token?.reveal()).toBe("bw_1234");
    expect(stderr).toMatch(/^Others on this machine can see --token .* BODYWORK_TOKEN/);
    expect(stderr).not.toContain("1234");
  });
});

describe("--quiet", () => {
  test("leaves the result and what is wrong, and drops what is good to know", async () => {
    const loud = await run("delete deployment d --yes", deleted);
    const quiet = await run("--quiet delete deployment d --yes", deleted);
    expect(loud.stderr).toContain("engine: local");
    expect(quiet).toEqual({ ...loud, stderr: "" });
  });

  test("keeps warnings and errors", async () => {
    const status = {
      running: false,
      home: "/home/me/.bodywork",
      ingressRunning: false,
      ingressNote: "moved",
    };
    const server = { status: async () => ({ ...none, ...status }) };
    const { stderr } = await run("server status --quiet", { server });
    expect(stderr).toBe("Warning: moved\n");
    const refused = await run("get runs --quiet");
    expect({ ...refused, stderr: refused.stderr.split(":")[0] }).toMatchObject({
      exitCode: 1,
      stderr: "Error",
    });
  });
});

const none = {
  pid: undefined,
  version: undefined,
  api: undefined,
  ingress: undefined,
  startedAt: undefined,
};
