/**
 * What the original's integration tests type and look for, replayed on this machine's engine: the commands as they are
 * (with our copies of the repositories), exit codes and strings wherever they do not name a Kubernetes object. Those that do are
 * listed in docs/reference/compatibility.md.
 */

import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { JobRecord } from "../../src/cli/job-records.ts";
import { runCommand } from "../../src/lib/run-command.ts";
import { type SshServer, sshdPath, startSshServer } from "../git/support/sshd.ts";
import { type Bodywork, bodywork, eventually, type Finished } from "../support/bodywork.ts";
import {
  batchJobProject,
  failingProject,
  rollbackProject,
  singleServiceProject,
  stageProject,
  testProject,
} from "../support/original-projects.ts";
import { temporaryFolder } from "../support/temporary.ts";

const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
const image = "--bodywork-image=bodyworkml/bodywork-core:3.0.12-dev";

describe("with a cluster (here: without one)", () => {
  test("1: create, update, get and delete a deployment from end to end", async () => {
    const tool = bodywork();
    await addSecrets(tool);
    const { url } = await testProject(await startTarget());

    const created = await tool.run("create", "deployment", url, image);
    expectDone(created, `deploying default branch from ${url}`, "Deployment successful");
    expectDone(await tool.run("update", "deployment", url, "--branch=master", image));
    expectDone(await tool.run("get", "deployments"), "stage-3", "stage-4");

    const { ingress } = await tool.server();
    const answered = await fetch(`${ingress}/bodywork-test-project//stage-3/v1/predict`);
    expect(answered.ok).toBe(true);
    expect(await answered.json()).toEqual({ y: "hello_world" });
    const hidden = await fetch(`${ingress}/bodywork-test-project//stage-4/v2/predict`);
    expect(hidden.status).toBe(404);

    const gone = await tool.run("delete", "deployment", "bodywork-test-project");
    expectDone(gone, "deployment=bodywork-test-project deleted.");
    expectDone(await tool.run("get", "deployments", "bodywork-test-project"), "No deployments found");
  }, 240_000);

  test("2: services of previous deployments are deleted", async () => {
    const tool = bodywork();
    const { url } = await singleServiceProject();
    const two = await tool.run("create", "deployment", url, "--branch=test-two-services", image);
    expectDone(two, "Deployment successful");
    const one = await tool.run("update", "deployment", url, "--branch=master", image);
    expectDone(
      one,
      "Deployment successful",
      "Removing service: stage-2 from previous deployment with git-commit-hash",
    );
    const shown = await tool.run("get", "deployment", "bodywork-test-single-service-project");
    expectDone(shown, "stage-1");
    expect(shown.stdout).not.toContain("stage-2");
  }, 240_000);

  test("3: a failing redeployment is rolled back", async () => {
    const tool = bodywork();
    const { url } = await rollbackProject();
    expectDone(await tool.run("create", "deployment", url, image));
    const failed = await tool.run("update", "deployment", url, image);
    expectFailed(failed, "Deployments failed to roll-out successfully");
    // In place of the cluster's own line on the roll-back: what was live is live.
    const { ingress } = await tool.server();
    for (const stage of ["stage-2", "stage-3"]) {
      const { status } = await fetch(`${ingress}/bodywork-rollback-deployment-test-project/${stage}/`);
      expect(status, stage).toBe(200);
    }
  }, 240_000);

  test("4: the on-failure stage runs", async () => {
    const tool = bodywork();
    const { url } = await failingProject();
    const failed = await tool.run("create", "deployment", url, image);
    expectFailed(failed, "Deployment failed --> ", "I have successfully been executed");
  }, 240_000);

  test("5a: a name that can't be an image's is refused", async () => {
    const tool = bodywork();
    const bad = "bad:bodyworkml/bodywork-core:0.0.0";
    const refused = await tool.run(
      "create",
      "deployment",
      "file:///no/such/project",
      `--bodywork-image=${bad}`,
    );
    expectFailed(refused, `Invalid Docker image specified: ${bad}`);
  }, 60_000);

  test("6: what is no repository exits with something else than 0", async () => {
    expect((await bodywork().run("create", "deployment", "http://bad.repo")).exitCode).not.toBe(0);
  }, 60_000);

  test("7: create, update, get and delete a cronjob", async () => {
    const tool = bodywork();
    const { url } = await testProject("http://127.0.0.1:9");
    const name = "bodywork-test-project";
    const created = await tool.run(
      ...["create", "cronjob", url, "--branch=master", `--name=${name}`],
      ...["--schedule=0,30 * * * *", "--retries=2", "--history-limit=1"],
    );
    expectDone(created, `Created cronjob=${name}`);
    const updated = await tool.run(
      ...["update", "cronjob", url, "--branch=main", `--name=${name}`, "--schedule=0,0 1 * * *"],
    );
    expectDone(updated, `Updated cronjob=${name}`);
    expectDone(await tool.run("get", "cronjob", name), name, "0,0 1 * * *", url, "main");
    expectDone(await tool.run("delete", "cronjob", name), `Deleted cronjob=${name}`);
    expectDone(await tool.run("get", "cronjob"));
  }, 120_000);

  test("9: an asynchronous deployment", async () => {
    const tool = bodywork();
    const { url } = await singleServiceProject();
    const created = await tool.run("create", "deployment", url, image, "--async", "--async-job-name=foo");
    expectDone(created, "Created workflow-job=async-workflow-foo");
    await jobEnds(tool, "async-workflow-foo");
    expectDone(await tool.run("get", "deployments", "--async"), "foo");
    const log = await tool.run("get", "deployment", "--async", "--logs=async-workflow-foo");
    expectDone(log);
    expect(log.stdout).not.toBe("");
    expect(log.stdout).not.toContain("ERROR");
  }, 240_000);
});

// Runs where the machine has an ssh server that this user can start; the machine of the project's CI has one.
describe.skipIf(sshdPath === undefined)(
  "with a private repository (skipped where there is no OpenSSH server)",
  () => {
    test("8: with the key in a file", async () => {
      const server = await startSshServer();
      const tool = bodywork({ HOME: homeThatKnows(server) });
      const { path } = await batchJobProject();
      const url = `${server.address}${path}`;
      const deployed = await tool.run(
        "create",
        "deployment",
        url,
        image,
        `--ssh=${readOnlyCopy(server.key)}`,
      );
      expectDone(deployed, `deploying default branch from ${url}`, "Deployment successful");
    }, 120_000);

    test("10: asynchronously", async () => {
      const server = await startSshServer();
      const tool = bodywork({ HOME: homeThatKnows(server) });
      const { path } = await batchJobProject();
      const name = "test-remote-ssh-workflow";
      const created = await tool.run(
        ...["create", "deployment", `${server.address}${path}`, "--branch=master", "--async"],
        ...[`--async-job-name=${name}`, `--ssh=${readOnlyCopy(server.key)}`, "--group=bodywork-tests", image],
      );
      expectDone(created, `Created workflow-job=async-workflow-${name}`);
      const shown = await tool.run("get", "deployment", name);
      expectDone(shown);
      expect(shown.stdout).not.toBe("");
      // The original's test can't fail here; ours can.
      expect(await jobEnds(tool, `async-workflow-${name}`)).toBe("succeeded");
    }, 120_000);
  },
);

describe("without a deployment", () => {
  test("the stage command runs a module and a notebook", async () => {
    const tool = bodywork();
    const { url } = await stageProject();
    const folder = temporaryFolder("here");
    const stage = (...args: readonly string[]) =>
      runCommand(process.execPath, [main, "stage", ...args], {
        cwd: mkdtempSync(join(folder, "cwd-")),
        env: { ...(process.env as Record<string, string>), BODYWORK_HOME: tool.home },
      });
    const module = await stage(url, "stage_1", "--branch", "master");
    expectDone(
      module,
      "Starting stage",
      "Installing required Python packages",
      "Using pip",
      "Attempting to run",
      "Hello World",
      "Successfully ran stage",
    );
    expectDone(
      await stage(url, "stage_2"),
      "Attempting to run notebook",
      "from a cell",
      "Successfully ran stage",
    );
    expectFailed(await stage(url, "stage_3"), "CalledProcessError");
    expectFailed(await stage(url, "stage_4"), "KeyError");
    expect((await stage("http://bad.repo", "master", "train")).exitCode).toBe(2);
    const left = readdirSync(folder).flatMap((cwd) => readdirSync(join(folder, cwd)));
    expect(new Set(left)).toEqual(new Set(["bodywork_project"]));
  }, 240_000);
});

describe("with secrets", () => {
  test("12: update a secret", async () => {
    const tool = bodywork();
    await addSecrets(tool);
    const updated = await tool.run(
      ...["update", "secret", "bodywork-test-project-credentials", "--group=testsecrets"],
      ...["--data", "PASSWORD=updated"],
    );
    expectDone(updated, "Updated secret=bodywork-test-project-credentials in group=testsecrets");
  }, 60_000);

  test("13: list all secrets", async () => {
    const tool = bodywork();
    await addSecrets(tool);
    const listed = await tool.run("get", "secrets");
    expectDone(listed);
    expect(listed.stdout).toMatch(/bodywork-test-project-credentials.+testsecret/);
  }, 60_000);

  test("14: create, get and delete a secret", async () => {
    const tool = bodywork();
    const created = await tool.run(
      ...["create", "secret", "pytest-credentials", "--group=test"],
      ...["--data", "USERNAME=alex", "--data", "PASSWORD=alex123"],
    );
    expectDone(created, "Created secret=pytest-credentials in group=test");
    const shown = await tool.run("get", "secret", "pytest-credentials", "--group=test");
    expectDone(shown);
    expect(shown.stdout).toMatch(/USERNAME.+alex/);
    expect(shown.stdout).toMatch(/PASSWORD.+alex123/);
    const gone = await tool.run("delete", "secret", "pytest-credentials", "--group=test");
    expectDone(gone, "Deleted secret=pytest-credentials from group=test");
    expect((await tool.run("get", "secret", "pytest-credentials", "--group=test")).exitCode).toBe(0);
  }, 60_000);
});

function expectDone(
  { exitCode, stdout, stderr }: Pick<Finished, "exitCode" | "stdout" | "stderr">,
  ...strings: readonly string[]
): void {
  expect(exitCode, stdout + stderr).toBe(0);
  for (const text of strings) expect(stdout).toContain(text);
}

function expectFailed(
  { exitCode, stdout, stderr }: Pick<Finished, "exitCode" | "stdout" | "stderr">,
  ...strings: readonly string[]
): void {
  expect(exitCode, stdout + stderr).toBe(1);
  for (const text of strings) expect(stdout).toContain(text);
}

/** The fixture of the original's tests, which make it with kubectl. */
async function addSecrets(tool: Bodywork): Promise<void> {
  const created = await tool.run(
    ...["create", "secret", "bodywork-test-project-credentials", "--group=testsecrets"],
    ...["--data", "USERNAME=alex", "PASSWORD=alex123"],
  );
  expectDone(created);
}

async function jobEnds(tool: Bodywork, id: string): Promise<string> {
  return eventually(async () => {
    const { stdout } = await tool.run("get", "deployments", "--async", "--output", "json");
    const job = (JSON.parse(stdout) as readonly JobRecord[]).find((one) => one.id === id);
    return job !== undefined && job.endedAt !== null && job.status;
  }, 90);
}

/** What answers in place of the internet; its URL. */
async function startTarget(): Promise<string> {
  const server = createServer((_, response) => response.end("here"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A user's home whose ssh knows the host. */
function homeThatKnows({ knownHostsLine }: SshServer): string {
  const home = temporaryFolder("user");
  mkdirSync(join(home, ".ssh"), { mode: 0o700 });
  writeFileSync(join(home, ".ssh", "known_hosts"), `${knownHostsLine}\n`);
  return home;
}

function readOnlyCopy(key: string): string {
  const copy = join(temporaryFolder("output"), "id_bodywork");
  copyFileSync(key, copy);
  chmodSync(copy, 0o400);
  return copy;
}
