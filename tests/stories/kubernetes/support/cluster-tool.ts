import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { basename, join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { startGitServer } from "../../../git/support/git-server.ts";
import { type Bodywork, bodyworkOf, type Finished } from "../../../support/bodywork.ts";
import type { TestCluster } from "../../../support/cluster.ts";
import type { GitProject } from "../../../support/git-project.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

/** The tool as somebody has it whose kubeconfig leads to the cluster, and a world where both reach repositories. */
export interface ClusterTool extends Bodywork {
  /** `--bodywork-image=…`: the image of the tests as Docker Hub would name it. */
  readonly image: string;
  /** What answers requests of stages in place of the internet. */
  readonly target: string;
  /** How often it was asked. */
  targetRequests(): number;
  /** Puts a repository where tool and cluster reach it; its URL, `http://ADDRESS:PORT/NAME`. */
  serve(project: GitProject, name?: string): string;
}

/** Call it inside a test. `namespaces`: those that the test makes, and nobody misses after it. */
export async function clusterTool(
  cluster: TestCluster,
  { namespaces = [], settings = {} }: ClusterToolOptions = {},
): Promise<ClusterTool> {
  for (const namespace of namespaces) {
    await cluster.deleteNamespace(namespace);
    onTestFinished(() => cluster.deleteNamespace(namespace), 150_000);
  }
  const repositories = temporaryFolder("served");
  const image = cluster.image.replace(/^docker\.io\//, "");
  let asked = 0;
  const server = await startGitServer({
    address: cluster.address,
    root: repositories,
    instead: ({ url = "" }, response) => {
      if (url === "/target") {
        asked += 1;
        response.end("here");
      } else if (url.startsWith("/v2/repositories/")) answerAsDockerHub(url, image, response);
      else return false;
      return true;
    },
  });
  const home = join(temporaryFolder("story"), "home");
  mkdirSync(home, { mode: 0o700 });
  writeFileSync(
    join(home, "settings.yaml"),
    JSON.stringify({
      insecure_git_hosts: [server.host],
      kubernetes: {
        docker_hub: `http://${server.host}`,
        image_pull_policy: "IfNotPresent",
        ...(cluster.controllerImage === undefined ? {} : { image: cluster.controllerImage }),
        ...settings,
      },
    }),
  );
  return {
    ...bodyworkOf(home, cluster.variables),
    image: `--bodywork-image=${image}`,
    target: `http://${server.host}/target`,
    targetRequests: () => asked,
    serve(project, name = basename(project.path)) {
      symlinkSync(project.path, join(repositories, name));
      return `http://${server.host}/${name}`;
    },
  };
}

export interface ClusterToolOptions {
  readonly namespaces?: readonly string[];
  /** Of the block `kubernetes` in settings.yaml. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export const management = "bodywork-deployment-jobs";

/** What `configure-cluster` makes, with all that is in it. */
export async function removeManagement(cluster: TestCluster): Promise<void> {
  await cluster.deleteNamespace(management);
  const role = "bodywork-workflow-controller";
  await cluster.kubectl("delete", "clusterrole", role, "--ignore-not-found");
  await cluster.kubectl("delete", "clusterrolebinding", `${role}--${management}`, "--ignore-not-found");
}

/** It knows one image, and says nothing of its digest: the nodes have it by its name only. */
function answerAsDockerHub(url: string, image: string, response: ServerResponse): void {
  const [, repository, tag] = /^\/v2\/repositories\/(.+)\/tags\/([^/?]+)/.exec(url) ?? [];
  const name = `${repository}:${tag}`;
  const isThere = name === image || name === `library/${image}`;
  response.writeHead(isThere ? 200 : 404, { "content-type": "application/json" });
  response.end(JSON.stringify(isThere ? { name: tag } : { message: "object not found" }));
}

export function expectDone(
  { exitCode, stdout, stderr }: Pick<Finished, "exitCode" | "stdout" | "stderr">,
  ...strings: readonly string[]
): void {
  expect(exitCode, stdout + stderr).toBe(0);
  for (const text of strings) expect(stdout).toContain(text);
}

export function expectFailed(
  { exitCode, stdout, stderr }: Pick<Finished, "exitCode" | "stdout" | "stderr">,
  ...strings: readonly string[]
): void {
  expect(exitCode, stdout + stderr).toBe(1);
  for (const text of strings) expect(stdout).toContain(text);
}
