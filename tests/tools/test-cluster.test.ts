import { expect, test } from "vitest";
import { partsOf, replacementsOf } from "../cluster/tools/build-binaries.ts";
import { requireMachine } from "../cluster/tools/node.ts";
import { needsCluster, SkippedForCluster, skippedLine } from "../support/skipped-for-cluster.ts";

test("the cluster of the tests is refused off Linux, and without root; a cluster of one's own is offered", () => {
  expect(() => requireMachine("darwin", 0)).toThrow(/runs on Linux only.*BODYWORK_TEST_KUBECONFIG/);
  expect(() => requireMachine("linux", 1000)).toThrow(/needs root.*BODYWORK_TEST_KUBECONFIG/);
  expect(() => requireMachine("linux", 0)).not.toThrow();
});

test("the parts of Kubernetes are those that its go.mod replaces by its own folders", () => {
  const goMod = ["replace (", "\tk8s.io/api => ./staging/src/k8s.io/api", "\tx/y => x/z v1.0.0", ")"].join(
    "\n",
  );
  expect(partsOf(goMod)).toEqual(["k8s.io/api"]);
});

test("modules that a go.mod replaces by others are replaced for us, too", () => {
  const goMod = [
    "replace (",
    "\tgithub.com/a/b => github.com/c/b v0.4.1-0.20200324110947-a37a7636d23e",
    "\tgithub.com/d/e v1.2.3 => github.com/f/e v1.3.0 // a reason",
    "\tk8s.io/api => ./staging/src/k8s.io/api",
    ")",
    "replace github.com/g/h => github.com/i/h v2.0.0",
  ].join("\n");
  expect(replacementsOf(goMod)).toEqual([
    "replace github.com/a/b => github.com/c/b v0.4.1-0.20200324110947-a37a7636d23e",
    "replace github.com/d/e v1.2.3 => github.com/f/e v1.3.0",
    "replace github.com/g/h => github.com/i/h v2.0.0",
  ]);
});

test("tests that were skipped for want of a cluster are counted in one line that says how to run them", () => {
  const said: string[] = [];
  const module = (moduleId: string, skipped: number) => ({
    moduleId,
    project: { config: { root: "/checkout" } },
    children: { allTests: () => Array.from({ length: skipped }).values() },
  });
  new SkippedForCluster((text) => said.push(text)).onTestRunEnd([
    module("/checkout/tests/cluster/a.test.ts", 2),
    module("/checkout/tests/stories/kubernetes/b.test.ts", 3),
    module("/checkout/tests/stories/failures.test.ts", 7),
  ] as never);
  expect(said).toEqual(["\n5 tests need a Kubernetes cluster: npm run test:kubernetes\n"]);
  expect(skippedLine(1)).toContain("1 test needs a");
});

test("nothing is said of skipped tests when none was skipped for want of a cluster", () => {
  const said: string[] = [];
  new SkippedForCluster((text) => said.push(text)).onTestRunEnd([]);
  expect(said).toEqual([]);
  expect(needsCluster("tests/contracts/kubernetes-engine.test.ts")).toBe(true);
  expect(needsCluster("tests/contracts/local-engine.test.ts")).toBe(false);
});
