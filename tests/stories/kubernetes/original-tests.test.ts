/**
 * The original's integration tests on a cluster: its commands as they are, with our copies of the repositories, served by
 * a server of ours, and every string that it looks for. What it asked the internet asks this machine.
 */

import { chmodSync, copyFileSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { sshdPath, startSshServer } from "../../git/support/sshd.ts";
import { bodyworkOf, eventually } from "../../support/bodywork.ts";
import { cluster, type TestCluster } from "../../support/cluster.ts";
import { makeProject } from "../../support/git-project.ts";
import {
  batchJobProject,
  failingProject,
  rollbackProject,
  singleServiceProject,
  testProject,
} from "../../support/original-projects.ts";
import { answering, projectFile, service } from "../../support/pipelines.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import {
  clusterTool,
  expectDone,
  expectFailed,
  management,
  removeManagement,
} from "./support/cluster-tool.ts";

describe.skipIf(cluster === undefined)("the original's tests", () => {
  const there = cluster as TestCluster;

  // Set-up and tear-down as the original has them.
  beforeAll(async () => {
    const tool = bodyworkOf(join(mkdtempSync(join(tmpdir(), "set-up-")), "home"), there.variables);
    expectDone(await tool.run("configure-cluster"));
  });
  afterAll(() => removeManagement(there), 180_000);

  test("1: create, update, get and delete a deployment from end to end", async () => {
    const name = "bodywork-test-project";
    const tool = await clusterTool(there, { namespaces: [name] });
    await addSecrets(there);
    const url = tool.serve(await testProject(tool.target));

    const created = await tool.run("create", "deployment", url, tool.image);
    expectDone(
      created,
      `deploying default branch from ${url}`,
      "Creating k8s namespace = bodywork-test-project",
      "Creating k8s service account = bodywork-stage",
      "Replicating k8s secrets from group = testsecrets",
      "Creating k8s job for stage = stage-1",
      "Creating k8s deployment and service for stage = stage-4",
      "Monitoring k8s jobs",
      "Monitoring k8s deployments",
      "Deployment successful",
    );
    expectDone(await tool.run("update", "deployment", url, "--branch=master", tool.image));
    expectDone(await tool.run("get", "deployments"), "stage-3", "stage-4");
    expect(tool.targetRequests()).toBe(2);

    const answered = await fetch(`${there.ingress}/bodywork-test-project//stage-3/v1/predict`);
    expect(answered.status).toBe(200);
    expect(await answered.json()).toMatchObject({ y: "hello_world" });
    const hidden = await fetch(`${there.ingress}/bodywork-test-project//stage-4/v2/predict`);
    expect(hidden.status).toBe(404);

    const gone = await tool.run("delete", "deployment", name);
    expectDone(gone, "deployment=bodywork-test-project deleted.");
    expectDone(await tool.run("get", "deployments", name), "No deployments found");
  }, 400_000);

  test("2: services of previous deployments are deleted", async () => {
    const name = "bodywork-test-single-service-project";
    const tool = await clusterTool(there, { namespaces: [name] });
    const url = tool.serve(await singleServiceProject(), "test-single-service-project.git");
    const two = await tool.run("create", "deployment", url, "--branch=test-two-services", tool.image);
    expectDone(two, "Deployment successful");
    const one = await tool.run("update", "deployment", url, "--branch=master", tool.image);
    expectDone(
      one,
      "Deployment successful",
      "Removing service: stage-2 from previous deployment with git-commit-hash",
    );
    const shown = await tool.run("get", "deployment", name);
    expectDone(shown, "stage-1");
    expect(shown.stdout).not.toContain("stage-2");
  }, 400_000);

  test("3: jobs are cleaned up, and a failing redeployment is rolled back", async () => {
    const name = "bodywork-rollback-deployment-test-project";
    const tool = await clusterTool(there, { namespaces: [name] });
    const url = tool.serve(await rollbackProject());
    const created = await tool.run("create", "deployment", url, tool.image);
    expectDone(created, "Deleted k8s job for stage = stage-1");
    const failed = await tool.run("update", "deployment", url, tool.image);
    expectFailed(
      failed,
      "Deployments failed to roll-out successfully",
      "Rolled-back k8s deployment for stage = stage-2",
    );
    // What the original's test does not ask: what was live is live.
    for (const stage of ["stage-2", "stage-3"]) {
      const { status } = await fetch(`${there.ingress}/${name}/${stage}/`);
      expect(status, stage).toBe(200);
    }
    expect(await there.kubectl("get", "jobs", "--namespace", name, "--output", "name")).toBe("");
  }, 500_000);

  test("4: the on-failure stage runs", async () => {
    const tool = await clusterTool(there, { namespaces: ["bodywork-failing-test-project"] });
    // A numpy that Python 3.11 can have: the stage fails by its code, as the original's does.
    const url = tool.serve(await failingProject("1.26.4"));
    const failed = await tool.run("create", "deployment", url, tool.image);
    expectFailed(
      failed,
      "Deployment failed --> ",
      "NameError",
      "Completed k8s job for stage = on-fail-stage",
      "I have successfully been executed",
    );
  }, 400_000);

  test("5a: a name that can't be an image's is refused", async () => {
    const tool = await clusterTool(there, { namespaces: ["bodywork-test-project"] });
    const url = tool.serve(await testProject(tool.target));
    const bad = "bad:bodyworkml/bodywork-core:0.0.0";
    const refused = await tool.run("create", "deployment", url, `--bodywork-image=${bad}`);
    expectFailed(refused, `Invalid Docker image specified: ${bad}`);
  }, 120_000);

  test("5b: an image that Docker Hub does not have is refused, after the namespace was made", async () => {
    const name = "bodywork-test-project";
    const tool = await clusterTool(there, { namespaces: [name] });
    await addSecrets(there);
    const url = tool.serve(await testProject(tool.target));
    const missing = "bodyworkml/bodywork-not-an-image:latest";
    const refused = await tool.run("create", "deployment", url, `--bodywork-image=${missing}`);
    expectFailed(refused, `Cannot locate ${missing} on DockerHub`);
    expect(await there.kubectl("get", "namespace", name, "--output", "name")).toBe(`namespace/${name}\n`);
  }, 120_000);

  test("6: what is no repository exits with something else than 0", async () => {
    const tool = await clusterTool(there);
    expect((await tool.run("create", "deployment", "http://bad.repo")).exitCode).not.toBe(0);
  }, 120_000);

  test("7: create, update, get and delete a cronjob", async () => {
    const tool = await clusterTool(there);
    const url = tool.serve(await testProject(tool.target));
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

  test.skipIf(sshdPath === undefined)(
    "8: a private repository, with the key in a file",
    async () => {
      const tool = await clusterTool(there, { namespaces: ["bodywork-test-batch-job-project"] });
      const server = await startSshServer(there.address);
      const url = `${server.address}${(await batchJobProject()).path}`;
      const deployed = await tool.run(
        ...["create", "deployment", url, tool.image, `--ssh=${readOnlyCopy(server.key)}`],
        `--accept-host-key=${server.fingerprint}`,
      );
      expectDone(deployed, `deploying default branch from ${url}`, "Deployment successful");
    },
    240_000,
  );

  test("9: an asynchronous deployment", async () => {
    const tool = await clusterTool(there, { namespaces: ["bodywork-test-single-service-project"] });
    const url = tool.serve(await singleServiceProject());
    const created = await tool.run(
      ...["create", "deployment", url, tool.image, "--async", "--async-job-name=foo"],
    );
    onTestFinished(async () => void (await tool.run("delete", "deployment", "foo", "--async")));
    expectDone(created, "Created workflow-job=async-workflow-foo");
    const ended = await jobEnds(there, "async-workflow-foo");
    expectDone(await tool.run("get", "deployments", "--async"), "foo");
    const log = await tool.run("get", "deployment", "--async", "--logs=async-workflow-foo");
    expect(ended, log.stdout).toBe("Complete");
    expectDone(log);
    expect(log.stdout).not.toBe("");
    expect(log.stdout).not.toContain("ERROR");
    const { status } = await fetch(
      `${there.ingress}/bodywork-test-single-service-project/stage-1/v1/predict`,
    );
    expect(status).toBe(200);
  }, 300_000);

  test.skipIf(sshdPath === undefined)(
    "10: an asynchronous deployment of a private repository",
    async () => {
      const tool = await clusterTool(there, { namespaces: ["bodywork-test-batch-job-project"] });
      const server = await startSshServer(there.address);
      const url = `${server.address}${(await batchJobProject()).path}`;
      const name = "test-remote-ssh-workflow";
      const created = await tool.run(
        ...["create", "deployment", url, "--branch=master", "--async", `--async-job-name=${name}`],
        ...[`--ssh=${readOnlyCopy(server.key)}`, "--group=bodywork-tests", tool.image],
        `--accept-host-key=${server.fingerprint}`,
      );
      onTestFinished(async () => void (await tool.run("delete", "deployment", name, "--async")));
      expectDone(created, `Created workflow-job=async-workflow-${name}`);
      await sleep(5_000);
      const shown = await tool.run("get", "deployment", name);
      expectDone(shown);
      expect(shown.stdout).not.toBe("");
      // The original's test can't fail here; ours can.
      const ended = await jobEnds(there, `async-workflow-${name}`);
      const log = await tool.run("get", "deployment", "--async", `--logs=async-workflow-${name}`);
      expect(ended, log.stdout).toBe("Complete");
    },
    300_000,
  );

  test("11: a group's secrets are copied into a namespace", async () => {
    const namespace = "bodywork-test";
    const tool = await clusterTool(there, { namespaces: [namespace] });
    await addSecrets(there);
    await there.kubectl("create", "namespace", namespace);
    // The original's test calls its library; a service that is deployed into the namespace gets the same.
    const url = tool.serve(
      await makeProject({
        path: join(temporaryFolder("project"), "secrets"),
        files: {
          "bodywork.yaml": projectFile({
            name: "secrets",
            dag: "use",
            pipeline: ["secrets_group: testsecrets", `namespace: ${namespace}`],
            stages: { use: [...service(5000), "secrets: {USERNAME: bodywork-test-project-credentials}"] },
          }),
          "use.py": `import os\nassert os.environ["USERNAME"] == "alex"\n${answering("here")}`,
        },
      }),
    );
    expectDone(await tool.run("create", "deployment", url, tool.image), "Deployment successful");
    const copy = await there.json<{ readonly data: Readonly<Record<string, string>> }>(
      ...["secret", "bodywork-test-project-credentials", "--namespace", namespace],
    );
    expect(Object.keys(copy.data)).toContain("USERNAME");
  }, 240_000);

  test("12: update a secret", async () => {
    const tool = await clusterTool(there);
    await addSecrets(there);
    const updated = await tool.run(
      ...["update", "secret", "bodywork-test-project-credentials", "--group=testsecrets"],
      ...["--data", "PASSWORD=updated"],
    );
    expectDone(updated, "Updated secret=bodywork-test-project-credentials in group=testsecrets");
  }, 120_000);

  test("13: list all secrets", async () => {
    const tool = await clusterTool(there);
    await addSecrets(there);
    const listed = await tool.run("get", "secrets");
    expectDone(listed);
    expect(listed.stdout).toMatch(/bodywork-test-project-credentials.+testsecret/);
  }, 120_000);

  test("14: create, get and delete a secret", async () => {
    const tool = await clusterTool(there);
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
  }, 120_000);

  test("all rows have been run, and are told one by one", ({ task, skip }) => {
    const rows = (task.suite?.tasks ?? []).filter(({ name }) => /^\d/.test(name));
    const ran = rows.filter(({ mode }) => mode === "run" || mode === "only");
    if (ran.length < rows.length && process.env.CI === undefined) skip("only some were asked for");
    for (const { name, result } of rows) process.stdout.write(`${result?.state ?? "not run"}  ${name}\n`);
    const numbers = rows.map(({ name }) => name.split(":")[0]);
    expect(numbers).toEqual([
      ...["1", "2", "3", "4", "5a", "5b", "6", "7", "8", "9", "10", "11", "12", "13", "14"],
    ]);
    expect(rows.filter(({ result }) => result?.state !== "pass").map(({ name }) => name)).toEqual([]);
  });
});

/** The fixture of the original's tests, made as they make it: by kubectl. */
async function addSecrets(there: TestCluster): Promise<void> {
  const name = "testsecrets-bodywork-test-project-credentials";
  const inManagement = ["--namespace", management];
  await there.kubectl(
    ...["create", "secret", "generic", name, ...inManagement],
    ...["--from-literal=USERNAME=alex", "--from-literal=PASSWORD=alex123"],
  );
  onTestFinished(async () => {
    await there.kubectl("delete", "secret", name, ...inManagement, "--ignore-not-found");
  });
  await there.kubectl("label", "secret", name, "group=testsecrets", ...inManagement);
}

/** `Complete` or `Failed`, whichever its Job gets. */
async function jobEnds(there: TestCluster, name: string): Promise<string> {
  interface Job {
    readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
  }
  return eventually(async () => {
    const { status } = await there.json<Job>("job", name, "--namespace", management);
    const ended = status?.conditions?.find(
      (condition) => ["Complete", "Failed"].includes(condition.type) && condition.status === "True",
    );
    return ended?.type;
  }, 180);
}

function readOnlyCopy(key: string): string {
  const copy = join(temporaryFolder("output"), "id_bodywork");
  copyFileSync(key, copy);
  chmodSync(copy, 0o400);
  return copy;
}
