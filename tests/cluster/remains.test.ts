import { globSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { runCommand } from "../../src/lib/run-command.ts";
import { cluster } from "../support/cluster.ts";
import { processesBelow } from "../support/orphans.ts";
import { down, requireMachine, up, wipe } from "./tools/node.ts";
import { placesOf } from "./tools/places.ts";
import { ClusterProblem } from "./tools/run.ts";

/** A second cluster beside the one of the tests: its own end is looked at. */
const places = placesOf(process.env, `remains-${process.pid}`);

describe.skipIf(cluster === undefined || !canBeNode())("a cluster of ours that is wiped", () => {
  test("leaves no process, mount, network, rule, route, control group or file", async () => {
    const before = await traces();
    try {
      const { BODYWORK_TEST_KUBECONFIG: kubeconfig = "" } = await up(places, () => {});
      const nodes = await runCommand("kubectl", ["--kubeconfig", kubeconfig, "get", "nodes"], {
        env: { PATH: `${places.bin}:${process.env.PATH}` },
      });
      expect(nodes.stdout).toMatch(/node1\s+Ready/);
      // What is looked at would be seen.
      const during = await traces();
      for (const [name, lines] of Object.entries(during)) {
        expect(lines.length, name).toBeGreaterThan(before[name as keyof typeof before].length);
      }
      await down(places);
      expect(await traces()).toEqual({ ...before, files: during.files });
    } finally {
      await wipe(places);
    }
    expect(await traces()).toEqual(before);
  }, 180_000);
});

/** Pods of other clusters come and go; ours have a network that this machine does not see. */
const ofOtherPods = /: veth|-j CNI-/;

/** Of the whole machine, but of processes and files only ours: others come and go. */
async function traces() {
  const output = async (program: string, ...args: readonly string[]): Promise<readonly string[]> => {
    const { stdout } = await runCommand(program, args, { env: { PATH: `${process.env.PATH}:/usr/sbin` } });
    return stdout.split("\n").filter((line) => line !== "" && !ofOtherPods.test(line));
  };
  return {
    processes: processesBelow(places.state).map(({ command }) => command),
    namespaces: mountNamespacesBelow(places.state),
    links: (await output("ip", "-oneline", "link")).map((line) => line.split(": ")[1]),
    rules: [
      ...(await output("iptables", "--wait", "--list-rules", "FORWARD")),
      ...(await output("iptables", "--wait", "--table", "nat", "--list-rules", "POSTROUTING")),
    ],
    // Another cluster's bridge loses its link with its last pod.
    routes: (await output("ip", "-4", "route")).map((line) => line.replace(/ linkdown\b/, "").trim()),
    controlGroups: globSync("/sys/fs/cgroup/{,*/}bodywork-test*"),
    files: globSync(places.state),
  };
}

/** Mounts of any process that has a folder of ours in view. */
function mountNamespacesBelow(folder: string): readonly string[] {
  return globSync("/proc/[0-9]*/mountinfo").filter((file) => {
    try {
      return readFileSync(file, "utf8").includes(folder);
    } catch {
      return false;
    }
  });
}

function canBeNode(): boolean {
  try {
    requireMachine(process.platform, process.getuid?.());
    return true;
  } catch (error) {
    if (error instanceof ClusterProblem) return false;
    throw error;
  }
}
