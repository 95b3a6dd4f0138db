import { describe, expect, test } from "vitest";
import type { CliWiring } from "../../../src/cli/cli-io.ts";
import type { ClusterAdmin } from "../../../src/operations/cluster-admin.ts";
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

describe("on a cluster", () => {
  const onCluster = (
    admin: Partial<ClusterAdmin>,
    asked: (string | undefined)[] = [],
  ): Partial<CliWiring> => ({
    engineNotice: async () => ({ engine: "kubernetes", why: "there is a kubeconfig at /k" }),
    async clusterAdmin(namespace) {
      asked.push(namespace);
      return admin as ClusterAdmin;
    },
  });
  const lines = [
    { level: "warning", text: "namespace=bodywork-deployment-jobs already exists" },
    { level: "info", text: "Creating cluster-role-binding=x" },
  ] as const;
  const objects = [{ kind: "Namespace" }, { kind: "ClusterRole" }];

  test("what was made, mended and found is told on standard output", async () => {
    const asked: (string | undefined)[] = [];
    const wiring = onCluster({ configure: async () => ({ lines, objects }) }, asked);
    const { exitCode, stdout } = await run("configure-cluster --namespace shop", { wiring });
    expect([exitCode, asked]).toEqual([0, ["shop"]]);
    expect(stdout).toBe(
      "Warning: namespace=bodywork-deployment-jobs already exists\nCreating cluster-role-binding=x\n",
    );
  });

  test("--dry-run prints the objects as kubectl takes them, and says so to the cluster", async () => {
    const asked: boolean[] = [];
    const configure: ClusterAdmin["configure"] = async ({ dryRun }) => {
      asked.push(dryRun);
      return { lines, objects };
    };
    const { stdout } = await run("configure-cluster --dry-run", { wiring: onCluster({ configure }) });
    expect([stdout, asked]).toEqual(["---\nkind: Namespace\n---\nkind: ClusterRole\n", [true]]);
  });

  test("cluster remove tells what went, and takes deployments with it only when told to", async () => {
    const asked: boolean[] = [];
    const remove: ClusterAdmin["remove"] = async ({ withDeployments }) => {
      asked.push(withDeployments);
      return { removed: withDeployments ? ["namespace shop"] : [] };
    };
    const wiring = onCluster({ remove });
    expect((await run("cluster remove --yes", { wiring })).stdout).toBe(
      "Nothing of Bodywork is in the cluster.\n",
    );
    expect((await run("cluster remove --yes --with-deployments", { wiring })).stdout).toBe(
      "Removed namespace shop\n",
    );
    expect(asked).toEqual([false, true]);
  });
});

test("there is nothing to remove, and no namespace to stay in, where there is no cluster", async () => {
  for (const words of ["cluster remove --yes", "configure-cluster --dry-run"]) {
    const { exitCode, stderr } = await run(words);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("a cluster: the engine is local.");
  }
});
