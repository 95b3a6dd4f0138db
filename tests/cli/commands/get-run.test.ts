import { describe, expect, test } from "vitest";
import { Failure } from "../../../src/core/failure.ts";
import type { Run } from "../../../src/core/run-state.ts";
import { aDeployment, aRun, aStage } from "../support/records.ts";
import { type Parts, run } from "../support/terminal.ts";

const id = "20261123-190512000-k3f9";

describe("get runs", () => {
  test("lists the runs with what was deployed and how it went", async () => {
    const failed = aRun({ id: "20261124-0", status: "failed", reason: "exit 3\nmore", release: 4 });
    const { exitCode, stdout } = await run("get runs", having([aRun(), failed]));
    expect(exitCode).toBe(0);
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => line.split(/ {2,}/)),
    ).toEqual([
      ["Run", "Deployment", "Status", "Release", "Branch", "Commit", "Created", "Duration", "Reason"],
      [id, "my-project", "succeeded", "3", "main", "1234567", "2026-11-23 19:05:12+00:00", "7.9s"],
      [
        "20261124-0",
        "my-project",
        "failed",
        "main",
        "1234567",
        "2026-11-23 19:05:12+00:00",
        "7.9s",
        "exit 3",
      ],
    ]);
  });

  test("shows the repository of a run that never got to read its project file", async () => {
    const lost = aRun({
      status: "failed",
      deployment: undefined,
      request: { ...aRun().request, url: "https://forge.test/gone" },
    });
    const { stdout } = await run("get runs", having([lost]));
    expect(stdout).toMatch(/ https:\/\/forge\.test\/gone +failed/);
  });

  test("asks for those of a deployment, as many as were wanted", async () => {
    const asked: object[] = [];
    const operations = {
      runs: async (filter: object) => {
        asked.push(filter);
        return [];
      },
      deployments: async () => [aDeployment()],
    };
    await run("get runs", { operations });
    await run("get runs my-project --limit 3", { operations });
    expect(asked).toEqual([
      { deployment: undefined, limit: 20 },
      { deployment: "my-project", limit: 3 },
    ]);
  });

  test("says for whom a run waits, and which one took the place of another", async () => {
    const queued = aRun({
      id: "20261124-2",
      status: "preparing",
      waitingFor: `run ${id}`,
      endedAt: undefined,
    });
    const reason = "superseded by run 20261124-2, which was asked for later";
    const superseded = aRun({ id: "20261124-1", status: "cancelled", code: "superseded", reason });
    const { stdout } = await run("get runs", having([queued, superseded]));
    expect(stdout).toMatch(new RegExp(`^20261124-2 .* preparing .* waiting for run ${id} to end$`, "m"));
    expect(stdout).toMatch(new RegExp(`^20261124-1 .* cancelled .* ${reason}$`, "m"));
  });

  test("says with 0 that there is none", async () => {
    expect(await run("get runs", having([]))).toMatchObject({ exitCode: 0, stdout: "No runs found\n" });
    expect((await run("get runs --output json", having([]))).stdout).toBe("[]\n");
  });
});

describe("get runs NAME", () => {
  test("of a deployment that is not there is told which there are, on standard error", async () => {
    const { exitCode, stdout, stderr } = await run("get runs my-projct", having([], ["my-project", "other"]));
    expect([exitCode, stdout]).toEqual([0, "No runs found\n"]);
    expect(stderr).toBe("There is no deployment my-projct. Deployments here: my-project, other.\n");
    expect((await run("get runs x", having([]))).stderr).toContain("There are no deployments.\n");
  });

  test("of a deployment whose runs are gone tells nothing more", async () => {
    const { exitCode, stderr } = await run("get runs my-project", having([], ["my-project"]));
    expect([exitCode, stderr]).toEqual([0, ""]);
  });
});

describe("get run ID", () => {
  test("shows everything that is recorded of it", async () => {
    const { exitCode, stdout } = await run(`get run ${id}`, having([aRun()]));
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^git_commit_hash +1234567890abcdef1234567890abcdef12345678$/m);
    expect(stdout).toMatch(/^commit +Train again \(Ada, 2026-11-23 18:00:00\+00:00\)$/m);
    expect(stdout).toMatch(/^duration +7\.9s$/m);
    expect(stdout).toMatch(/^train +succeeded +3\.2s +1 +reused/m);
  });

  test("shows how attempts failed, with the end of their logs", async () => {
    const attempt = aStage().attempts[0];
    const failed = aRun({
      status: "failed",
      reason: 'Stage "train" failed: exit 3',
      hint: "See the log.",
      stages: [
        aStage({
          status: "failed",
          environment: undefined,
          outputs: [],
          attempts: [
            {
              ...(attempt as NonNullable<typeof attempt>),
              status: "failed",
              reason: "exit 3",
              lastLines: ["no \x1b[1mdata"],
            },
          ],
        }),
      ],
    });
    const { stdout } = await run(`get run ${id}`, having([failed]));
    expect(stdout).toContain("train, attempt 1 failed: exit 3\n  no \\x1b[1mdata\n");
    expect(stdout).toContain("Hint: See the log.\n");
  });

  test("shows a run that goes on with its duration until now", async () => {
    const running = aRun({ status: "running", endedAt: undefined, startedAt: "2026-11-23T19:05:02.000Z" });
    expect((await run(`get run ${id}`, having([running]))).stdout).toMatch(/^duration +10\.0s$/m);
  });

  test.each(["2026", "20261123", "20261123-19", "20261123-190512000-k"])(
    "takes its beginning: %s",
    async (word) => {
      const { stdout } = await run(`get run ${word} --output json`, having([aRun()]));
      expect(JSON.parse(stdout)).toMatchObject({ id });
    },
  );

  test("exits with 1 when there is no such run", async () => {
    const { exitCode, stderr } = await run("get run 20250101-000000", having([aRun()]));
    expect(exitCode).toBe(1);
    expect(stderr).toContain("Error: There is no run 20250101-000000.");
  });

  test("lists the runs of a deployment whose name looks like an id", async () => {
    const named = aRun({ deployment: "20250101" });
    expect((await run("get run 20250101", having([named]))).stdout).toContain("Deployment");
  });
});

function having(runs: readonly Run[], deployments: readonly string[] = []): Parts {
  return {
    operations: {
      deployments: async () => deployments.map((name) => aDeployment({ name })),
      runs: async ({ deployment }) =>
        runs.filter((one) => deployment === undefined || one.deployment === deployment),
      run: async (word) => {
        const found = runs.find((one) => one.id.startsWith(word));
        if (found === undefined) throw new Failure("not-found", `There is no run ${word}.`);
        return found;
      },
    },
  };
}
