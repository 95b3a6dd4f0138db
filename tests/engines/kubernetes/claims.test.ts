import { expect, test } from "vitest";
import type { Plan } from "../../../src/core/plan.ts";
import type { Stage } from "../../../src/core/project.ts";
import { createClaims, withDefaultStorage } from "../../../src/engines/kubernetes/claims.ts";
import { ClusterError, type KubernetesObject } from "../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../src/engines/kubernetes/client/kinds.ts";
import { batchStage } from "../../support/tasks.ts";
import { type FakeRooms, fakeRooms } from "./support/rooms.ts";

const storageClass: KubernetesObject = {
  apiVersion: "storage.k8s.io/v1",
  kind: "StorageClass",
  metadata: { name: "standard", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
};

function planOf(...stages: readonly Stage[]): Plan {
  const environment = { requirements: [], requirementsFile: undefined, python: undefined, notebook: false };
  return {
    ...{ deployment: "story", namespace: "space", secretsGroup: "dev", release: 1, image: "i", removals: [] },
    nodes: stages.map((stage) => ({
      ...{ node: stage.name, stage, after: [], environment, variables: {}, secrets: {} },
    })),
    onFailure: undefined,
  };
}

const withOutputs = planOf(batchStage("train", { outputs: { model: "model.joblib" } }));
const without = planOf(batchStage("train"));

async function claimsAfter(rooms: FakeRooms, plan: Plan): Promise<readonly string[]> {
  await createClaims("space", plan, rooms.settings, rooms.cluster);
  return rooms.cluster.objects(kinds.persistentVolumeClaim, "space").map(({ metadata }) => metadata.name);
}

test("a pipeline with outputs gets a claim for them where the cluster provides volumes by itself", async () => {
  const rooms = fakeRooms();
  rooms.cluster.put(storageClass);
  expect(await claimsAfter(rooms, withOutputs)).toEqual(["bodywork-storage"]);
  expect(withDefaultStorage(rooms.settings).storage).toEqual({ claim: "bodywork-storage" });
});

test("a pipeline without outputs needs none", async () => {
  expect(await claimsAfter(fakeRooms(), without)).toEqual([]);
});

test("outputs are refused before anything starts where nothing would ever provide the volume", async () => {
  await expect(claimsAfter(fakeRooms(), withOutputs)).rejects.toThrow(
    'Cannot deploy "story": its stages have outputs, and the cluster has no default StorageClass',
  );
});

test("what the settings name is made as they say, and the cluster is asked nothing", async () => {
  expect(await claimsAfter(fakeRooms({ storage: { claim: "models" } }), withOutputs)).toEqual(["models"]);
  expect(await claimsAfter(fakeRooms({ claims: { storage_class: "nfs" } }), withOutputs)).toEqual([
    "bodywork-storage",
  ]);
  const bucket = { storage: { s3: { bucket: "b", secret: "infra/keys" } } };
  expect(await claimsAfter(fakeRooms(bucket), withOutputs)).toEqual([]);
});

test("who may not look at the storage classes is not refused for that", async () => {
  const rooms = fakeRooms();
  const { list } = rooms.cluster;
  rooms.cluster.list = async (kind, selection) => {
    if (kind === kinds.storageClass) throw new ClusterError("forbidden", "no");
    return list(kind, selection);
  };
  expect(await claimsAfter(rooms, withOutputs)).toEqual(["bodywork-storage"]);
});

test("a claim that is there is left as it is", async () => {
  const rooms = fakeRooms();
  const mine = { apiVersion: "v1", kind: "PersistentVolumeClaim" };
  rooms.cluster.put({ ...mine, metadata: { name: "bodywork-storage", namespace: "space" } });
  expect(await claimsAfter(rooms, withOutputs)).toEqual(["bodywork-storage"]);
});
