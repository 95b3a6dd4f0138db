/**
 * `npm run test:kubernetes [-- ARGUMENT…]`: the tests that need a cluster, on one that is made for them and removed after;
 * or on the one that BODYWORK_TEST_KUBECONFIG names, which stays. Arguments are Vitest's: files, `-t NAME`.
 */

import { join } from "node:path";
import { exitCodeOf } from "../../../tools/programs.mjs";
import { runJob } from "../../../tools/setup.mjs";
import { addTool, type ClusterVariables, up, wipe } from "./node.ts";
import { placesOf } from "./places.ts";
import { ClusterProblem, run } from "./run.ts";
import { kubernetesTests } from "./tests.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const tell = (line: string): void => void process.stderr.write(`Test cluster: ${line}\n`);

try {
  const kubeconfig = process.env.BODYWORK_TEST_KUBECONFIG;
  process.exitCode = kubeconfig ? await onClusterAt(kubeconfig) : await onClusterOfOurs();
} catch (error) {
  if (!(error instanceof ClusterProblem)) throw error;
  tell(error.message);
  process.exitCode = 1;
}

/** The tests end with the removal of all of Bodywork: a cluster where somebody uses it is not theirs. */
function onClusterAt(kubeconfig: string): Promise<number> {
  const there = ["get", "namespace", "bodywork-deployment-jobs", "--ignore-not-found", "--output=name"];
  const kubectl = process.env.BODYWORK_TEST_KUBECTL || "kubectl";
  const found = run(kubectl, ["--kubeconfig", kubeconfig, ...there]);
  if (found !== "") {
    throw new ClusterProblem(
      `the cluster of ${kubeconfig} has Bodywork on it (${found}), which the tests would remove. ` +
        "Name another, or remove it: bodywork cluster remove",
    );
  }
  return runTests({});
}

async function onClusterOfOurs(): Promise<number> {
  const places = placesOf(process.env);
  const stopped = firstSignal();
  try {
    // One that a killed run has left could hold anything.
    await wipe(places);
    const variables = await up(places, tell);
    addTool(places, tell);
    return stopped() === undefined ? await runTests(variables) : exitCodeOf(stopped() ?? null);
  } finally {
    await wipe(places);
  }
}

/** Who stops us while the cluster starts is not left with half of it. */
function firstSignal(): () => NodeJS.Signals | undefined {
  let first: NodeJS.Signals | undefined;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      first ??= signal;
    });
  }
  return () => first;
}

/** The exit code of Vitest; it gets the signals that we get, and we go on to clean up. */
function runTests(variables: ClusterVariables): Promise<number> {
  const given = process.argv.slice(2);
  const files = given.some((word) => word.startsWith("tests/")) ? [] : kubernetesTests;
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
  // One file at a time: some look at all of the cluster.
  const options = ["--no-file-parallelism", ...files, ...given];
  return runJob(process.execPath, [vitest, "run", ...options], { ...process.env, ...variables });
}
