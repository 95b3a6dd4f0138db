/** What the original has left on a cluster is ours to list, to replace and to delete; and nothing is left in the end. */

import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../../support/bodywork.ts";
import { cluster, type TestCluster } from "../../support/cluster.ts";
import { makeProject } from "../../support/git-project.ts";
import { answering, projectFile, service } from "../../support/pipelines.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { clusterTool, expectDone, management, removeManagement } from "./support/cluster-tool.ts";
import { originalManagement, originalService } from "./support/original-objects.ts";

const namespace = "made-by-original";

describe.skipIf(cluster === undefined)("on a cluster that the original was at work on", () => {
  const there = cluster as TestCluster;
  beforeEach(() => removeManagement(there), 180_000);
  afterAll(() => removeManagement(there), 180_000);

  test("its service is listed, replaced in place, and deleted", async () => {
    const tool = await clusterTool(there, { namespaces: [namespace] });
    const project = await oneService();
    const url = tool.serve(project, namespace);
    const image = there.image;
    await createAsOriginal(
      originalService({ namespace, deployment: namespace, name: "serve-it", stage: "serve_it", url, image }),
    );
    const rolledOut = ["status", "deployment/serve-it", "--namespace", namespace, "--timeout=90s"];
    await there.kubectl("rollout", ...rolledOut);

    expectDone(await tool.run("get", "deployments"), `${namespace}/serve-it`);
    const shown = await tool.run("get", "deployment", namespace, "serve_it");
    expectDone(shown, url, "abc1234", "5000");

    const before = await uidOf("deployment");
    expectDone(await tool.run("update", "deployment", url, tool.image), "Deployment successful");
    expect(await uidOf("deployment")).toBe(before);
    // Where requests arrive, which its own route did not: no controller of its class is here.
    const answer = await fetch(`${there.ingress}/${namespace}/serve-it/`);
    expect(await answer.text()).toBe("ours");

    expectDone(await tool.run("delete", "deployment", namespace), `deployment=${namespace} deleted.`);
    expectDone(await tool.run("get", "deployments", namespace), "No deployments found");
    // The namespace stays: nothing tells that it was made for this pipeline alone.
    const ofService = "deployments,services,ingresses,httproutes,pods,jobs,secrets";
    const left = ["get", ofService, "--namespace", namespace, "--selector=app=bodywork", "--output=name"];
    await eventually(async () => (await there.kubectl(...left)) === "");
  }, 400_000);

  test("its secrets and cronjobs are listed, changed and deleted", async () => {
    const tool = await clusterTool(there);
    const url = tool.serve(await oneService(), namespace);
    await createAsOriginal(originalManagement("nightly", url));

    const secrets = await tool.run("get", "secrets");
    expectDone(secrets);
    expect(secrets.stdout).toMatch(/storage.+dev/);
    expectDone(await tool.run("update", "secret", "storage", "--group=dev", "--data", "PASSWORD=x1"));
    const secret = await tool.run("get", "secret", "storage", "--group=dev");
    expectDone(secret);
    expect(secret.stdout).toMatch(/USERNAME.+alex/);
    expect(secret.stdout).toMatch(/PASSWORD.+x1/);
    expectDone(await tool.run("delete", "secret", "storage", "--group=dev"), "Deleted secret=storage");

    expectDone(await tool.run("get", "cronjob"), "nightly", url, "0 1 1 1 *");
    expectDone(await tool.run("get", "cronjob", "nightly"), "master");
    expectDone(
      await tool.run("update", "cronjob", url, "--branch=main", "--name=nightly", "--schedule=0 2 1 1 *"),
      "Updated cronjob=nightly",
    );
    expectDone(await tool.run("get", "cronjob", "nightly"), "0 2 1 1 *", "main");
    expectDone(await tool.run("delete", "cronjob", "nightly"), "Deleted cronjob=nightly");
    expect(await there.kubectl("get", "cronjobs", "--namespace", management, "--output", "name")).toBe("");
  }, 240_000);

  test("nothing is left after the deployment was deleted and `cluster remove`", async () => {
    const tool = await clusterTool(there, { namespaces: [namespace] });
    const url = tool.serve(await oneService(), namespace);
    const before = await there.inventory();

    expectDone(await tool.run("configure-cluster"));
    expectDone(await tool.run("create", "secret", "storage", "--group=dev", "--data", "KEY=x1"));
    const cronjob = ["--name=nightly", "--schedule=0 1 1 1 *"];
    expectDone(await tool.run("create", "cronjob", url, "--branch=main", ...cronjob));
    expectDone(await tool.run("create", "deployment", url, tool.image), "Deployment successful");
    const during = await there.inventory();
    expect(during).toContain(`Deployment ${namespace}/serve-it`);
    expect(during).toContain(`CronJob ${management}/nightly`);

    expectDone(await tool.run("delete", "deployment", namespace));
    expectDone(await tool.run("cluster", "remove", "--yes"));
    // What the cluster's own controllers still tidy up takes them a moment.
    await eventually(async () => {
      expect(await there.inventory()).toEqual(before);
      return true;
    }, 60);
    expectDone(await tool.run("cluster", "remove", "--yes"), "Nothing of Bodywork is in the cluster.");
  }, 400_000);

  /** Its client creates object by object, under the name that its library gives it. */
  async function createAsOriginal(objects: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
    await there.kubectlWithInput(
      JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }),
      ...["create", "--field-manager=OpenAPI-Generator", "--filename", "-"],
    );
  }

  async function uidOf(kind: string): Promise<string> {
    const found = await there.json<{ readonly metadata: { readonly uid: string } }>(
      ...[kind, "serve-it", "--namespace", namespace],
    );
    return found.metadata.uid;
  }
});

/** The project of that service as its repository has it by now. */
function oneService() {
  return makeProject({
    path: join(temporaryFolder("project"), namespace),
    files: {
      "bodywork.yaml": projectFile({
        name: namespace,
        dag: "serve_it",
        stages: { serve_it: service(5000, { replicas: 1 }) },
      }),
      "serve_it.py": answering("ours"),
    },
  });
}
