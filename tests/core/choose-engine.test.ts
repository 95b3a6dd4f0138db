import { expect, test } from "vitest";
import { chooseEngine, type EngineFacts, isCi } from "../../src/core/choose-engine.ts";

const nothing: EngineFacts = {
  option: undefined,
  serverOption: undefined,
  variable: undefined,
  serverVariable: undefined,
  login: undefined,
  setting: undefined,
  livesOn: undefined,
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
  ["so is one that says it on the command line", { ci: true, option: "local" }, "local"],
  ["a CI job that is given a server goes there", { ci: true, serverVariable: "https://s" }, "server"],
  ["the option wins over the variable", { option: "local", variable: "kubernetes" }, "local"],
  [
    "the option wins over a server in the environment",
    { option: "local", serverVariable: "https://s" },
    "local",
  ],
  [
    "a server on the command line wins over the variable",
    { serverOption: "https://s", variable: "local" },
    "server",
  ],
  ["the variable wins over a login", { variable: "local", login: "https://s" }, "local"],
  ["a login wins over the setting", { login: "https://s", setting: "local" }, "server"],
  [
    "the setting wins over where the deployment lives",
    { setting: "kubernetes", livesOn: "local" },
    "kubernetes",
  ],
  ["a login wins over where the deployment lives", { login: "https://s", livesOn: "local" }, "server"],
  [
    "a deployment stays where it lives, whatever a kubeconfig says",
    { livesOn: "local", kubeconfigFile: "/k" },
    "local",
  ],
  ["and in CI", { livesOn: "local", ci: true }, "local"],
  ["an engine and a server at once are refused", { option: "local", serverOption: "https://s" }, "none"],
  ["also in the environment", { variable: "local", serverVariable: "https://s" }, "none"],
  [
    "unless the command line says which",
    { option: "local", variable: "local", serverVariable: "https://s" },
    "local",
  ],
];

test.each(cases)("%s", (_title, facts, engine) => {
  const choice = chooseEngine({ ...nothing, ...facts });
  expect(choice.engine).toBe(engine);
  expect(choice.why).not.toBe("");
  if (choice.engine === "none") expect(choice.hint).not.toBe("");
});

test("each rule wins over all below it", () => {
  const rules: readonly (readonly [Partial<EngineFacts>, string])[] = [
    [{ serverOption: "https://option" }, "https://option"],
    [{ serverVariable: "https://variable" }, "https://variable"],
    [{ login: "https://login" }, "https://login"],
    [{ setting: "local" }, "local"],
    [{ livesOn: "kubernetes" }, "kubernetes"],
    [{ kubeconfigFile: undefined, inCluster: true }, "kubernetes"],
    [{ kubeconfigVariable: "/gone" }, "none"],
    [{ ci: true }, "none"],
    [{}, "local"],
  ];
  for (const [index, [, expected]] of rules.entries()) {
    const facts: EngineFacts = Object.assign({}, nothing, ...rules.slice(index).map(([fact]) => fact));
    const choice = chooseEngine(facts);
    expect(choice.engine === "server" ? choice.url : choice.engine, `rule ${index}`).toBe(expected);
  }
});

test("CI says that this is a CI job, unless it says that it is none", () => {
  for (const value of ["true", "1", "yes", "woodpecker"]) expect(isCi(value), value).toBe(true);
  for (const value of [undefined, "", "0", "false", "False"]) expect(isCi(value), String(value)).toBe(false);
});

test("what the user has said wrong is told from what could not be found", () => {
  const mistakes: readonly Partial<EngineFacts>[] = [
    { option: "local", serverOption: "https://s" },
    { variable: "local", serverVariable: "https://s" },
    { variable: "docker" },
  ];
  for (const facts of mistakes)
    expect(chooseEngine({ ...nothing, ...facts })).toMatchObject({ mistake: true });
  for (const facts of [{ ci: true }, { kubeconfigVariable: "/gone" }]) {
    const choice = chooseEngine({ ...nothing, ...facts });
    expect(choice.engine).toBe("none");
    expect(choice).not.toHaveProperty("mistake");
  }
});
