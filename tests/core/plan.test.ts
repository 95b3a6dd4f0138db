import { expect, test } from "vitest";
import { parseProject } from "../../src/core/parse-project.ts";
import { type PlanInput, planDeployment, plannedStages } from "../../src/core/plan.ts";
import type { Project } from "../../src/core/project.ts";
import { aRun, aService } from "../cli/support/records.ts";
import { batch, projectFile, service } from "../support/pipelines.ts";

const { commit } = aRun();

function parsed(
  dag: string,
  stages: Readonly<Record<string, readonly string[]>>,
  pipeline: readonly string[] = [],
): Project {
  const text = projectFile({ name: "story", dag, stages, pipeline });
  const { project, problems } = parseProject(Buffer.from(text).toString(), { fileName: "bodywork.yaml" });
  if (project === undefined) throw new Error(problems.map(({ message }) => message).join("\n"));
  return project;
}

function planOf(project: Project, change: Partial<PlanInput> = {}) {
  if (commit === undefined) throw new Error("the run has no commit");
  return planDeployment({
    project,
    commit,
    lastRelease: 0,
    services: [],
    requirementsFiles: new Map(),
    secretsGroup: "story",
    secrets: {},
    ...change,
  });
}

test("a plan has the stages of the DAG as a graph, and the next release's number", () => {
  const plan = planOf(
    parsed("a >> b, serve >> a", { a: batch(), b: batch(), serve: service(5000), unused: batch() }),
    { lastRelease: 4 },
  );
  expect(plan).toMatchObject({ deployment: "story", namespace: "story", release: 5 });
  expect(plan.nodes.map(({ node, after }) => [node, after])).toEqual([
    ["a", []],
    ["b", ["a"]],
    ["serve", ["b"]],
    ["a#2", ["b", "serve"]],
  ]);
});

test("every stage gets the commit's short hash, and asks for the environment that the file says", () => {
  const project = parsed(
    "a",
    {
      a: [
        ...batch(),
        "requirements: [numpy==2.1.0]",
        "requirements_file: req.txt",
        "executable_module_path: a.ipynb",
      ],
    },
    ['python: "3.12"'],
  );
  const [node] = planOf(project, { requirementsFiles: new Map([["req.txt", "scipy\n"]]) }).nodes;
  expect(node?.variables).toEqual({ GIT_COMMIT_HASH: "1234567" });
  expect(node?.environment).toEqual({
    requirements: ["numpy==2.1.0"],
    requirementsFile: "scipy\n",
    python: "3.12",
    notebook: true,
  });
});

test("each stage, the failure stage too, knows where the values of its secrets are", () => {
  const project = parsed("a >> b", { a: batch(), b: batch(), tell: batch() }, ["run_on_failure: tell"]);
  const user = { group: "prod", name: "db", version: 2, key: "USER" };
  const plan = planOf(project, {
    secretsGroup: "prod",
    secrets: { a: { USER: user }, tell: { USER: user } },
  });
  expect(plan.secretsGroup).toBe("prod");
  expect(plannedStages(plan).map(({ stage, secrets }) => [stage.name, secrets])).toEqual([
    ["a", { USER: user }],
    ["b", {}],
    ["tell", { USER: user }],
  ]);
});

test("services of the deployment that the commit has no stage for are to be removed, and nobody else's", () => {
  const project = parsed("serve", { serve: service(5000), former: service(5001) });
  const mine = { namespace: "story", deployment: "story" };
  const services = [
    aService({ ...mine, stage: "serve" }),
    aService({ ...mine, stage: "former" }),
    aService({ namespace: "story", deployment: "other", stage: "foreign" }),
    aService({ namespace: "elsewhere", deployment: "story", stage: "former" }),
  ];
  expect(planOf(project, { services }).removals).toEqual([services[1]]);
});

test("a service that turned into a batch stage is removed", () => {
  const services = [aService({ namespace: "story", deployment: "story", stage: "a" })];
  expect(planOf(parsed("a", { a: batch() }), { services }).removals).toEqual(services);
});

test("the stage for failures is planned apart from the graph, and need not be in the DAG", () => {
  const plan = planOf(parsed("a", { a: batch(), tell: batch() }, ["run_on_failure: tell"]));
  expect(plan.nodes.map(({ node }) => node)).toEqual(["a"]);
  expect(plan.onFailure).toMatchObject({ node: "on failure: tell", after: [] });
});
