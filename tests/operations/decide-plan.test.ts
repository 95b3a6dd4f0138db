import { expect, test } from "vitest";
import { parseProject } from "../../src/core/parse-project.ts";
import type { Deployment, ServiceStatus } from "../../src/core/run-state.ts";
import { decidePlan } from "../../src/operations/decide-plan.ts";
import { aService } from "../cli/support/records.ts";
import { batch, projectFile } from "../support/pipelines.ts";
import { batchStage, batchTask } from "../support/tasks.ts";

const { commit } = batchTask(batchStage("train"));
const foreign: Deployment = {
  ...{ namespace: "shop", name: "shop", gitUrl: "https://forge.test/others/shop", branch: "main" },
  ...{ liveRelease: 3, updatedAt: "2026-11-25T12:00:00.000Z" },
};

function decide(kind: "local" | "kubernetes", services: readonly ServiceStatus[]) {
  const text = projectFile({ name: "shop", dag: "train", stages: { train: batch() } });
  const { project } = parseProject(text, { fileName: "bodywork.yaml" });
  if (project === undefined) throw new Error("the project has problems");
  const request = { url: commit.url, branch: undefined, strict: false, startedBy: "command" };
  return decidePlan(
    { project, commit, requirementsFiles: new Map(), request },
    {
      store: { deployments: () => [foreign], releases: () => [] } as never,
      engine: { kind, services: () => services } as never,
      secretReader: { secrets: () => [] },
    },
  );
}

test("a namespace in which another repository has services is refused, on either engine", () => {
  const services = [{ ...aService(), namespace: "shop", deployment: "shop" }];
  for (const kind of ["local", "kubernetes"] as const) {
    expect(() => decide(kind, services)).toThrow("A project with the same name (or namespace): shop");
  }
});

test("of a deployment without services this machine's record counts; in a cluster what is there does, as in the original", () => {
  expect(() => decide("local", [])).toThrow("A project with the same name (or namespace): shop");
  expect(decide("kubernetes", []).namespace).toBe("shop");
});

test("the image of the request wins over that of the project file", () => {
  expect(decide("kubernetes", []).image).toBe("python:3.11-slim");
});
