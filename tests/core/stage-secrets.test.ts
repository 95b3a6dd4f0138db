import { expect, test } from "vitest";
import { parseProject } from "../../src/core/parse-project.ts";
import type { Project } from "../../src/core/project.ts";
import type { SecretSummary } from "../../src/core/secret-state.ts";
import { findStageSecrets, secretsOfStage } from "../../src/core/stage-secrets.ts";
import { batch, projectFile } from "../support/pipelines.ts";

function parsed(
  stages: Readonly<Record<string, readonly string[]>>,
  dag: string,
  pipeline: readonly string[] = [],
): Project {
  const text = projectFile({ name: "story", dag, stages, pipeline });
  const { project, problems } = parseProject(text, { fileName: "bodywork.yaml" });
  if (project === undefined) throw new Error(problems.map(({ message }) => message).join("\n"));
  return project;
}

function secret(group: string, name: string, version: number, ...keys: string[]): SecretSummary {
  const at = "2026-11-23T19:00:00.000Z";
  return { group, name, version, keys, createdAt: at, updatedAt: at };
}

test("a stage's variables are the keys of the same name in the newest version of the secrets of the group", () => {
  const project = parsed({ a: [...batch(), "secrets: {USER: db, TOKEN: api}"], b: batch() }, "a >> b");
  const { secrets, missing } = findStageSecrets(project, "prod", [
    secret("prod", "db", 3, "PASSWORD", "USER"),
    secret("prod", "api", 1, "TOKEN"),
    secret("dev", "db", 9, "USER"),
  ]);
  expect(missing).toEqual([]);
  expect(secrets).toEqual({
    a: {
      USER: { group: "prod", name: "db", version: 3, key: "USER" },
      TOKEN: { group: "prod", name: "api", version: 1, key: "TOKEN" },
    },
  });
});

test("all that is missing is found at once: whole secrets and single keys, of every stage that may run", () => {
  const project = parsed(
    {
      a: [...batch(), "secrets: {USER: db, PASSWORD: db}"],
      tell: [...batch(), "secrets: {HOOK: chat}"],
      unused: [...batch(), "secrets: {X: x}"],
    },
    "a",
    ["run_on_failure: tell"],
  );
  const { missing } = findStageSecrets(project, "prod", [secret("prod", "db", 1, "USER")]);
  expect(missing).toEqual([
    { stage: "a", key: "PASSWORD", secret: "db", secretIsThere: true },
    { stage: "tell", key: "HOOK", secret: "chat", secretIsThere: false },
  ]);
});

test("names that mean something to JavaScript are names like others", () => {
  const project = parsed(
    { constructor: batch(), toString: [...batch(), "secrets: {valueOf: s}"] },
    "constructor >> toString",
  );
  const { secrets, missing } = findStageSecrets(project, "g", [secret("g", "s", 1)]);
  expect(missing).toHaveLength(1);
  expect(secretsOfStage(secrets, "constructor")).toEqual({});
});
