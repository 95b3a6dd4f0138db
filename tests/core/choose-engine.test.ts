import { expect, test } from "vitest";
import { chooseEngine, type EngineFacts } from "../../src/core/choose-engine.ts";

const nothing: EngineFacts = {
  variable: undefined,
  setting: undefined,
  kubeconfigVariable: undefined,
  kubeconfigFile: undefined,
  inCluster: false,
  ci: false,
};

const cases: readonly (readonly [title: string, facts: Partial<EngineFacts>, engine: string])[] = [
  ["a machine with nothing is its own engine", {}, "local"],
  ["a kubeconfig means the cluster", { kubeconfigFile: "/home/me/.kube/config" }, "kubernetes"],
  ["so do credentials in a cluster", { inCluster: true }, "kubernetes"],
  ["the variable wins over a kubeconfig", { variable: "local", kubeconfigFile: "/k" }, "local"],
  ["so does the setting", { setting: "local", kubeconfigFile: "/k" }, "local"],
  ["the variable wins over the setting", { variable: "kubernetes", setting: "local" }, "kubernetes"],
  ["an engine that does not exist is refused", { variable: "docker" }, "none"],
  ["a KUBECONFIG that can't be read is refused", { kubeconfigVariable: "/gone" }, "none"],
  ["unless the user says local", { kubeconfigVariable: "/gone", variable: "local" }, "local"],
  ["a CI job without a kubeconfig is refused", { ci: true }, "none"],
  ["a CI job with one goes to the cluster", { ci: true, kubeconfigFile: "/k" }, "kubernetes"],
  ["a CI job that says local is taken at its word", { ci: true, variable: "local" }, "local"],
];

test.each(cases)("%s", (_title, facts, engine) => {
  const choice = chooseEngine({ ...nothing, ...facts });
  expect(choice.engine).toBe(engine);
  expect(choice.why).not.toBe("");
  if (choice.engine === "none") expect(choice.hint).not.toBe("");
});
