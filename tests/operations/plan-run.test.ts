import { expect, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import type { DeployRequest } from "../../src/core/run-state.ts";
import { SecretValue } from "../../src/core/secret-value.ts";
import { projectUrl, serverOf, type World, world } from "../support/operations-harness.ts";
import { batch } from "../support/pipelines.ts";
import { project } from "../support/project-text.ts";

const request: DeployRequest = { url: projectUrl, branch: undefined, strict: false, startedBy: "command" };
const withSecret = [...batch(), "secrets: {PASSWORD: db}"];

test("a plan says what the run then does: stages, services that go, release, versions of secrets, warnings", async () => {
  const the = world();
  the.secrets.set("story", "db", { PASSWORD: "canary" });
  const server = serverOf(the);
  the.source.push(projectUrl, project("serve, former", { serve: "service", former: "service" }));
  await server.deployed();
  the.source.push(projectUrl, project("a >> serve", { a: withSecret, serve: "service", unused: "batch" }));
  const { plan, commit, warnings } = await server.actions.plan(request);
  const run = await server.deployed();
  expect(commit).toEqual(run.commit);
  expect(plan.release).toBe(run.release);
  expect(plan.nodes.map(({ node, after }) => [node, after])).toEqual(
    run.stages.map(({ node, after }) => [node, after]),
  );
  expect(plan.removals.map(({ stage }) => stage)).toEqual(["former"]);
  expect(plan.nodes[0]?.secrets).toEqual(run.secrets?.a);
  const told = server
    .events(run.id)
    .flatMap((event) => (event.kind === "notice" && event.level === "warning" ? [event.text] : []));
  expect(warnings).toHaveLength(1);
  expect(told).toEqual(warnings);
});

test("to plan changes nothing: no run, no key, no environment, no protected commit, nothing started", async () => {
  const the = world();
  the.secrets.set("story", "db", { PASSWORD: "canary" });
  the.source.push(projectUrl, project("a", { a: withSecret }));
  const server = serverOf(the);
  const { plan } = await server.actions.plan(request, { sshKey: new SecretValue("a key"), keep: true });
  expect(plan.release).toBe(1);
  expect(server.store.runs({})).toEqual([]);
  expect(the.secrets.secrets({}).map(({ name }) => name)).toEqual(["db"]);
  expect(the.environments.built).toEqual([]);
  expect([...the.source.kept]).toEqual([]);
  expect(the.machine.ledger).toEqual([]);
});

test.each<[string, (the: World) => void, Partial<DeployRequest>]>([
  ["repository-access", () => {}, {}],
  ["project-missing", (the) => the.source.push(projectUrl, { "a.py": "" }), {}],
  ["project-invalid", (the) => the.source.push(projectUrl, project("a >> gone", { a: "batch" })), {}],
  [
    "project-invalid",
    (the) => the.source.push(projectUrl, project("a", { a: "batch", unused: "batch" })),
    { strict: true },
  ],
  ["secret-missing", (the) => the.source.push(projectUrl, project("a", { a: withSecret })), {}],
])("what a run would be refused for (%s) is told in the same words", async (code, prepare, change) => {
  const the = world();
  prepare(the);
  const server = serverOf(the);
  const planned = await server.actions.plan({ ...request, ...change }).catch((error: unknown) => error);
  const run = await server.finished(await server.deploy(projectUrl, change));
  expect(planned).toBeInstanceOf(Failure);
  expect(planned).toMatchObject({ code, message: run.reason, details: run.details, hint: run.hint });
});

test("a namespace that another repository has is refused in a plan too", async () => {
  const the = world();
  const server = serverOf(the);
  the.source.push(projectUrl, project("a", { a: "batch" }));
  await server.deployed();
  const url = "https://forge.test/me/other";
  the.source.push(url, project("a", { a: "batch" }));
  await expect(server.actions.plan({ ...request, url })).rejects.toMatchObject({ code: "namespace-taken" });
});
