/** The example that `npm start` deploys on one machine, on a cluster: the same commands, the same answers. */

import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { DeploymentView } from "../../../src/operations/operations.ts";
import { cluster, type TestCluster } from "../../support/cluster.ts";
import { type GitProject, makeProject } from "../../support/git-project.ts";
import { steadyLoad } from "../../support/steady-load.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { claimableStorage } from "./support/claimable-storage.ts";
import { type ClusterTool, clusterTool, expectDone, expectFailed } from "./support/cluster-tool.ts";

const example = join(import.meta.dirname, "..", "..", "..", "examples", "iris");
const server = readFileSync(join(example, "pipeline", "serve_model.py"), "utf8");
const flower = { sepal_length: 5.1, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2 };

describe.skipIf(cluster === undefined)("the iris example on a cluster", () => {
  const there = cluster as TestCluster;

  test("it is deployed and answers at its path; a redeployment under load loses no request; a broken commit is rolled back", async () => {
    await claimableStorage(there);
    const tool = await clusterTool(there, {
      namespaces: ["iris"],
      settings: { storage: { claim: "bodywork-artifacts" } },
    });
    const project = await iris();
    const url = tool.serve(project, "iris");

    expectDone(await tool.run("create", "deployment", url, tool.image), "Deployment successful");
    expect(await score(there)).toEqual({ species: "setosa", probability: 1 });
    const first = await liveCommit(tool);

    const load = steadyLoad(`${there.ingress}/iris/serve-model/version`, 4, 5);
    await project.commit({ "pipeline/serve_model.py": withVersion("second") });
    expectDone(await tool.run("update", "deployment", url, tool.image), "Deployment successful");
    const { answered, failures, answers } = await load.stop();
    expect(Object.fromEntries(failures)).toEqual({});
    expect([...answers.keys()]).toEqual(["first", "second"]);
    expect(answered).toBeGreaterThan(100);
    const second = await liveCommit(tool);
    expect(second).not.toBe(first);

    await project.commit({ "pipeline/serve_model.py": 'raise RuntimeError("broken")\n' });
    const broken = await tool.run("update", "deployment", url, tool.image);
    expectFailed(broken, "Deployments failed to roll-out successfully", "RuntimeError: broken");
    expect(await version(there)).toBe("second");
    expect(await score(there)).toEqual({ species: "setosa", probability: 1 });
    expect(await liveCommit(tool)).toBe(second);

    expectDone(await tool.run("delete", "deployment", "iris"), "deployment=iris deleted.");
    expect(await there.kubectl("get", "namespace", "iris", "--ignore-not-found")).toBe("");
  }, 600_000);
});

/** As it is, but for one more path that says which commit answers, to any method: the load asks by two. */
async function iris(): Promise<GitProject> {
  const path = join(temporaryFolder("project"), "iris");
  cpSync(example, path, { recursive: true, filter: (file) => !/(^|\/)(\.venv|__pycache__)$/.test(file) });
  return makeProject({ path, files: { "pipeline/serve_model.py": withVersion("first") } });
}

function withVersion(answer: string): string {
  const route = `    @app.route("/version", methods=["GET", "POST"])\n    def version():\n        return "${answer}"\n\n`;
  const changed = server.replace("    return app\n", `${route}    return app\n`);
  if (changed === server) throw new Error("serve_model.py has no `return app` any more");
  return changed;
}

async function score({ ingress }: TestCluster): Promise<unknown> {
  const response = await fetch(`${ingress}/iris/serve-model/v1/score`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(flower),
  });
  return response.json();
}

async function version({ ingress }: TestCluster): Promise<string> {
  return (await fetch(`${ingress}/iris/serve-model/version`)).text();
}

async function liveCommit(tool: ClusterTool): Promise<string | undefined> {
  const { stdout } = await tool.run("get", "deployments", "iris", "--output", "json");
  const [deployment] = JSON.parse(stdout) as readonly DeploymentView[];
  return deployment?.release?.commit.hash;
}
