import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { Failure } from "../../../src/core/failure.ts";
import type { DeploymentView } from "../../../src/operations/operations.ts";
import { rawControl } from "../support/control-characters.ts";
import { aDeployment, aJob, aService, events } from "../support/records.ts";
import { type Parts, run } from "../support/terminal.ts";

describe("get deployments", () => {
  test("lists every service with its deployment, repository, release, state and URL", async () => {
    const views = [
      aDeployment(),
      aDeployment({ name: "batch-only", services: [], liveRelease: 1 }),
      aDeployment({ name: "failed", services: [], liveRelease: undefined }),
    ];
    const { exitCode, stdout, stderr } = await run("get deployments", having(views));
    expect(exitCode).toBe(0);
    expect(stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["operational services"],
      ["Deployment Name / Service Name", "Git Repository URL", "Release", "State", "Ready", "URL"],
      [
        ...["my-project/stage-3", "https://forge.test/me/my-project", "3", "degraded", "1/2"],
        "http://127.0.0.1:8080/my-space/stage-3",
      ],
      ["batch-only", "https://forge.test/me/my-project", "1", "no services"],
      ["failed", "https://forge.test/me/my-project", "no services"],
      [""],
    ]);
    expect(stderr).toBe("");
  });

  test("asks for the name and the namespace that were given", async () => {
    const asked: object[] = [];
    const operations = {
      deployments: async (filter: object) => {
        asked.push(filter);
        return [];
      },
    };
    await run("get deployments", { operations });
    await run("get deployment my-project --namespace my-space", { operations });
    await run("get deployments --namespace=", { operations });
    expect(asked).toEqual([
      { name: undefined, namespace: undefined },
      { name: "my-project", namespace: "my-space" },
      { name: undefined, namespace: undefined },
    ]);
  });

  test.each(["get deployments", "get deployment nothing", "get deployment nothing serve"])(
    "says with 0 that there is none: %s",
    async (line) => {
      expect(await run(line, having([]))).toMatchObject({
        exitCode: 0,
        stdout: "No deployments found\n",
        stderr: "",
      });
    },
  );

  test("gives records as they are with --output, also when there is none", async () => {
    const json = await run("get deployments --output json", having([aDeployment()]));
    expect(JSON.parse(json.stdout)).toEqual(JSON.parse(JSON.stringify([aDeployment()])));
    const yaml = await run("get deployments --output yaml", having([aDeployment()]));
    expect(parse(yaml.stdout)).toEqual(JSON.parse(json.stdout));
    expect((await run("get deployments --output json", having([]))).stdout).toBe("[]\n");
  });

  test("says how to bring stopped services back, on standard error", async () => {
    const stopped = aDeployment({ services: [aService({ state: "stopped" })] });
    const { exitCode, stderr } = await run("get deployments", having([stopped]));
    expect(exitCode).toBe(0);
    expect(stderr).toBe("Warning: Some services are stopped. Bring them back with: bodywork server start\n");
  });

  test("says which secrets a live release was made without, on standard error", async () => {
    const changedSecrets = [
      { group: "prod", name: "database", change: "updated" as const },
      { group: "prod", name: "mail", change: "deleted" as const },
    ];
    const parts = having([aDeployment({ changedSecrets })]);
    const list = await run("get deployments", parts);
    expect(list.stderr).toBe(
      "Release 3 of my-project was made with other secrets than there are now: prod/database (updated), prod/mail (deleted). The next deployment uses the new ones.\n",
    );
    const one = await run("get deployment my-project stage-3", parts);
    expect(one.stdout).toMatch(/^changed_secrets +prod\/database \(updated\)\n +prod\/mail \(deleted\)$/m);
    expect(one.stderr).toBe(list.stderr);
  });

  test("says in one line what another engine holds, on standard error", async () => {
    const wiring = { elsewhere: async () => "Not shown is something." };
    const { exitCode, stderr } = await run("get deployments", { ...having([]), wiring });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "Not shown is something.\n" });
  });

  test("says that --logs is for jobs, and goes on, as the original ignores it", async () => {
    const { exitCode, stdout, stderr } = await run("get deployments --logs foo", having([]));
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "No deployments found\n" });
    expect(stderr).toContain("--logs is inactive here");
  });

  test("shows no control character of a name, an URL or a state", async () => {
    const bad = "\x1b]0;x\x07";
    const view = aDeployment({ name: bad, services: [aService({ gitUrl: bad, url: bad, name: bad })] });
    const { stdout } = await run("get deployments", having([view]));
    expect(stdout).toContain("\\x1b]0;x\\x07/\\x1b]0;x\\x07");
    expect(stdout).not.toMatch(rawControl);
  });
});

describe("get deployment NAME SERVICE", () => {
  test("has the original's fields under their names and in their order, then ours", async () => {
    const { exitCode, stdout } = await run("get deployment my-project stage-3", having([aDeployment()]));
    expect(exitCode).toBe(0);
    const [title, head, ...rows] = stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {2,}/));
    expect([title, head]).toEqual([["my-project/stage-3"], ["Field", "Value"]]);
    expect(rows).toEqual([
      ["name", "my-project/stage-3"],
      ["namespace", "my-space"],
      ["service_exposed", "True"],
      ["service_url", "http://stage-3"],
      ["service_port", "5000"],
      ["available_replicas", "1"],
      ["unavailable_replicas", "1"],
      ["git_url", "https://forge.test/me/my-project"],
      ["git_branch", "main"],
      ["git_commit_hash", "1234567"],
      ["has_ingress", "True"],
      ["ingress_route", "/my-space/stage-3"],
      ["release", "3"],
      ["state", "degraded"],
      ["url", "http://127.0.0.1:8080/my-space/stage-3"],
      ["replicas", "1: ready at 127.71.0.4:5000 (pid 4711)"],
      ["restarts", "4"],
      ["reason", "replica 2 ended with exit 1"],
    ]);
  });

  test("says so when the ingress does not lead to it, and when the commit has no branch", async () => {
    const inner = aService({ ingressRoute: undefined, url: undefined, branch: undefined, reason: undefined });
    const { stdout } = await run(
      "get deployment my-project stage-3",
      having([aDeployment({ services: [inner] })]),
    );
    expect(stdout).toMatch(/^has_ingress +False$/m);
    expect(stdout).toMatch(/^ingress_route +none$/m);
    expect(stdout).toMatch(/^url +none$/m);
    expect(stdout).toMatch(/^git_branch$/m);
  });

  test("names a service that looks like a number by its name", async () => {
    const numbered = aService({ stage: "1", name: "1", internalUrl: "http://1:5000" });
    const { stdout } = await run(
      "get deployment my-project 1",
      having([aDeployment({ services: [numbered] })]),
    );
    expect(stdout).toMatch(/^service_url +http:\/\/1$/m);
  });

  test.each(["stage_3", "stage-3"])("takes the name of the file and that of the URL: %s", async (name) => {
    const { stdout } = await run(`get deployment my-project ${name} --output json`, having([aDeployment()]));
    expect(JSON.parse(stdout)).toMatchObject({ stage: "stage_3" });
  });

  test("shows None as the reason of one that serves", async () => {
    const view = aDeployment({ services: [aService({ state: "serving", reason: undefined })] });
    expect((await run("get deployment my-project stage_3", having([view]))).stdout).toMatch(
      /^reason +None$/m,
    );
  });

  test("says with 0 that there is no such service", async () => {
    const parts = having([aDeployment()]);
    expect(await run(["get", "deployment", "my-project", "no\x07"], parts)).toMatchObject({
      exitCode: 0,
      stdout: "Could not find service=no\\x07.\n",
    });
    expect((await run("get deployment my-project no --output json", parts)).stdout).toBe("null\n");
    expect((await run("get deployment my-project no --output yaml", parts)).stdout).toBe("null\n");
  });

  test("says with 0 that there is no such deployment, which is no service either", async () => {
    expect(await run("get deployment no serve", having([]))).toMatchObject({
      exitCode: 0,
      stdout: "No deployments found\n",
    });
    expect((await run("get deployment no serve --output json", having([]))).stdout).toBe("null\n");
  });
});

describe("get deployments --async", () => {
  const nightly = aJob();
  const waiting = aJob({
    id: "async-workflow-waiting",
    status: "waiting",
    runs: ["r1", "r2"],
    nextRunAt: "2026-11-23T19:05:42.000Z",
    endedAt: undefined,
  });
  const jobs = async (filter: { readonly cronjob?: string | null | undefined }) =>
    filter.cronjob === null ? [waiting, nightly] : [];

  test("shows the history of jobs, a table each, with the original's fields first", async () => {
    const { exitCode, stdout } = await run("get deployments --async", { operations: { jobs } });
    expect(exitCode).toBe(0);
    const tables = stdout.split("\n\n").map((text) =>
      text
        .trimEnd()
        .split("\n")
        .map((line) => line.split(/ {2,}/)),
    );
    expect(tables[1]).toEqual([
      ["run ID = async-workflow-nightly"],
      ["Field", "Value"],
      ["start_time", "2026-11-23 19:05:12+00:00"],
      ["completion_time", "2026-11-23 19:05:20+00:00"],
      ["active", "False"],
      ["succeeded", "True"],
      ["failed", "False"],
      ["status", "succeeded"],
      ["git_url", "https://forge.test/me/my-project"],
      ["git_branch", "default"],
      ["duration", "7.7s"],
      ["runs", "20261123-190512000-k3f9"],
    ]);
    expect(stdout).toMatch(/^completion_time +None$/m);
    expect(stdout).toMatch(/^next_run_time +2026-11-23 19:05:42\+00:00$/m);
  });

  test("gives records with the same keys, null where nothing is known", async () => {
    const { stdout } = await run("get deployments --async --output json", { operations: { jobs } });
    const records: readonly object[] = JSON.parse(stdout);
    expect(records.length).toBeGreaterThan(1);
    expect(new Set(records.map((record) => String(Object.keys(record)))).size).toBe(1);
    for (const record of records) expect(record).toMatchObject({ cronjob: null, lateSeconds: null });
  });

  test("shows one job by its name, with the prefix or without", async () => {
    for (const name of ["nightly", "async-workflow-nightly", "Nightly", "Async_Workflow_Nightly"]) {
      const { stdout } = await run(`get deployment ${name} --async --output json`, { operations: { jobs } });
      expect(JSON.parse(stdout)).toMatchObject([JSON.parse(JSON.stringify(nightly))]);
    }
    const none = await run("get deployment nope --async", { operations: { jobs } });
    expect(none).toMatchObject({ exitCode: 0, stdout: "No workflow-jobs found\n" });
  });

  const story = events(
    { kind: "run", status: "preparing" },
    { kind: "notice", level: "info", text: "Commit 1234567" },
    { kind: "stage", node: "train", status: "running" },
    { kind: "log", node: "train", source: "attempt 1", text: "trained\n" },
    { kind: "stage", node: "train", status: "succeeded" },
    { kind: "run", status: "succeeded" },
  );
  async function* jobLog(id: string) {
    if (id !== "async-workflow-nightly")
      throw new Failure("not-found", "Cannot find run ID = nope: there is no such run.", {
        hint: "List them.",
      });
    yield* story;
  }

  test("prints the log of a job between two rules, all of it on standard output", async () => {
    const line = "get deployment --async --logs=async-workflow-nightly";
    const { exitCode, stdout, stderr } = await run(line, { operations: { jobLog } });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^=+ logs for run ID = async-workflow-nightly =+$/);
    expect(lines.at(-1)).toBe("=".repeat(80));
    const inner = lines.slice(1, -1).map((text) => text.replace(/^\[.*?\] /, ""));
    expect(inner).toEqual([
      "run preparing",
      "Commit 1234567",
      "train running",
      "train | trained",
      "train succeeded after 0.2s",
      "run succeeded",
    ]);
    expect(stdout).not.toContain("ERROR");
  });

  test("prints the log of a job also with --quiet, for it is what was asked for", async () => {
    const line = "get deployment --async --quiet --logs=async-workflow-nightly";
    expect((await run(line, { operations: { jobLog } })).stdout).toContain("train | trained\n");
  });

  test("draws nothing over it on a terminal", async () => {
    const line = "get deployment --async --logs async-workflow-nightly";
    const { stdout, stderr } = await run(line, { operations: { jobLog } }, { terminal: true, columns: 60 });
    expect(stderr).toBe("");
    expect(stdout).not.toContain("\x1b[2K");
    expect(stdout.split("\n")[0]).toHaveLength(60);
  });

  test("gives a program one record for each event", async () => {
    const line = "get deployment --async --logs async-workflow-nightly --output";
    const json = await run(`${line} json`, { operations: { jobLog } });
    expect(
      json.stdout
        .trimEnd()
        .split("\n")
        .map((text) => JSON.parse(text)),
    ).toEqual(story);
    const yaml = await run(`${line} yaml`, { operations: { jobLog } });
    expect(
      yaml.stdout
        .split("---\n")
        .slice(1)
        .map((text) => parse(text)),
    ).toEqual(story);
  });

  test("says with 1 that there is no such run, and why", async () => {
    const { exitCode, stdout, stderr } = await run("get deployment --async --logs nope", {
      operations: { jobLog },
    });
    expect({ exitCode, stdout }).toEqual({
      exitCode: 1,
      stdout: "Cannot find run ID = nope: there is no such run.\n",
    });
    expect(stderr).toBe("Hint: List them.\n");
    const json = await run("get deployment --async --logs nope --output json", { operations: { jobLog } });
    expect(json.exitCode).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: "not-found", hint: "List them." } });
  });
});

function having(views: readonly DeploymentView[]): Parts {
  return { operations: { deployments: async () => views } };
}
