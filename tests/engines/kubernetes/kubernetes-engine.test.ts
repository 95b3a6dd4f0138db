import { describe, expect, test } from "vitest";

import { Failure } from "../../../src/core/failure.ts";
import type { Plan, PlannedStage } from "../../../src/core/plan.ts";
import { ClusterError } from "../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../src/engines/kubernetes/client/kinds.ts";
import { createKubernetesEngine } from "../../../src/engines/kubernetes/kubernetes-engine.ts";
import type { RunTarget } from "../../../src/ports/engine.ts";
import { batchStage, serviceStage } from "../../support/tasks.ts";
import { type FakeRooms, fakeRooms, image, listen, trainTask } from "./support/rooms.ts";

const never = new AbortController().signal;
const { commit } = trainTask();

function planned(stage: PlannedStage["stage"]): PlannedStage {
  const environment = { requirements: [], requirementsFile: undefined, python: undefined, notebook: false };
  return { node: stage.name, stage, after: [], environment, variables: {}, secrets: {} };
}

const plan: Plan = {
  ...{ deployment: "story", namespace: "my_space", secretsGroup: "dev", release: 1, image, removals: [] },
  nodes: [planned(batchStage("train")), planned(serviceStage("serve", { replicas: 2 }))],
  onFailure: undefined,
};

function prepared(
  rooms: FakeRooms,
  change: Partial<Parameters<typeof createKubernetesEngine>[0]> = {},
  target: Partial<RunTarget> = {},
) {
  const observer = listen();
  const engine = createKubernetesEngine({ ...rooms, ...change });
  const run = { runId: "run-1", plan, commit, checkImage: undefined, ...target };
  return { observer, image: engine.prepare(run, observer, never) };
}

describe("preparing a run", () => {
  test("makes the namespace, looks for the image, copies secrets and brings the commit, in this order", async () => {
    const rooms = fakeRooms();
    const { observer, image: resolved } = prepared(rooms, {
      images: { resolve: async () => ({ image: "example.com/python@sha256:1", warnings: ["of the image"] }) },
      secrets: { replicate: async () => 2, copyOne: async () => {} },
    });
    expect(await resolved).toEqual({ image: "example.com/python@sha256:1" });
    expect(observer.notes).toEqual([
      "Creating k8s namespace = my-space",
      "Creating k8s service account = bodywork-stage",
      "of the image",
      "Replicating k8s secrets from group = dev into namespace = my-space",
    ]);
    expect(rooms.cluster.objects(kinds.secret, "my-space")).toHaveLength(1);
  });

  test("without secrets in the group does not speak of them", async () => {
    const { observer, image: resolved } = prepared(fakeRooms());
    await resolved;
    expect(observer.notes).toHaveLength(2);
  });

  test("with an image that is missing leaves the namespace behind, as in the original", async () => {
    const rooms = fakeRooms();
    const missing = new Failure("image-missing", "Cannot locate x/y:1 on DockerHub");
    const { image: resolved } = prepared(rooms, { images: { resolve: () => Promise.reject(missing) } });
    await expect(resolved).rejects.toBe(missing);
    expect(rooms.cluster.objects(kinds.namespace).map(({ metadata }) => metadata.name)).toContain("my-space");
  });

  test.each([
    [undefined, true, true],
    [undefined, false, false],
    [false, true, false],
    [true, false, true],
  ])(
    "looks for the image when the request (%s), else the settings (%s) say so",
    async (asked, set, check) => {
      const rooms = fakeRooms({ image_check: set });
      const heard: boolean[] = [];
      const images = {
        resolve: async (name: string, options: { readonly check: boolean }) => {
          heard.push(options.check);
          return { image: name, warnings: [] };
        },
      };
      await prepared(rooms, { images }, { checkImage: asked }).image;
      expect(heard).toEqual([check]);
    },
  );

  test("makes the claims that the settings name, and leaves those that are there as they are", async () => {
    const rooms = fakeRooms({ environment_cache: { claim: "cache" }, storage: { claim: "artifacts" } });
    await prepared(rooms).image;
    const before = rooms.cluster.objects(kinds.persistentVolumeClaim, "my-space");
    expect(before.map(({ metadata }) => metadata.name)).toEqual(["artifacts", "cache"]);
    expect(before[0]?.spec).toMatchObject({ resources: { requests: { storage: "10Gi" } } });
    await prepared(rooms).image;
    expect(rooms.cluster.objects(kinds.persistentVolumeClaim, "my-space")).toEqual(before);
  });

  test("copies the keys of a bucket to where its pods find them", async () => {
    const copied: unknown[] = [];
    const secrets = {
      replicate: async () => 0,
      copyOne: async (...all: readonly string[]) => {
        copied.push(all);
      },
    };
    const rooms = fakeRooms({ storage: { s3: { bucket: "models", secret: "ops/bucket" } } });
    await prepared(rooms, { secrets }).image;
    expect(copied).toEqual([["ops", "bucket", "my-space"]]);
  });
});

test("what the API server refuses is told with what was to be done", async () => {
  const rooms = fakeRooms();
  rooms.cluster.before = ({ verb }) => {
    if (verb === "create") throw new ClusterError("forbidden", "jobs.batch is forbidden", { status: 403 });
  };
  const engine = createKubernetesEngine(rooms);
  await expect(engine.runBatch(trainTask(), listen(), never)).rejects.toMatchObject({
    name: "Failure",
    message: expect.stringMatching(/^Cannot run stage "train" in namespace space: .*jobs.batch is forbidden/),
  });
});

test("the manifests of a plan are all that a run would make, and nothing is changed", async () => {
  const rooms = fakeRooms();
  const before = rooms.cluster.dump();
  const objects = await createKubernetesEngine(rooms).manifests(plan, commit);
  expect(objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
    "Namespace my-space",
    "ServiceAccount bodywork-stage",
    "Role bodywork-stage",
    "RoleBinding bodywork-stage",
    expect.stringMatching(/^ConfigMap bodywork-program-/),
    expect.stringMatching(/^Secret bodywork-sources-/),
    "Job train",
    "Deployment serve",
    "Service serve",
    "PodDisruptionBudget serve",
  ]);
  expect(rooms.cluster.dump()).toEqual(before);
});
