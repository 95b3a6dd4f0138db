import { expect, test } from "vitest";

import { concealed } from "../../../../src/core/secret-value.ts";
import type { KubernetesObject } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import { createClusterSecrets } from "../../../../src/engines/kubernetes/secrets/cluster-secrets.ts";
import type { FakeCluster } from "../../../support/fake-cluster.ts";
import { clearTexts, clusterWithSecrets, kubectlSecret } from "./support.ts";

const namesIn = (cluster: FakeCluster, namespace = "sea"): readonly string[] =>
  cluster.objects(kinds.secret, namespace).map(({ metadata }) => metadata.name);

function writes(cluster: FakeCluster): readonly string[] {
  return cluster.calls.filter((call) => /^(?:create|replace|delete|apply|merge) /.test(call));
}

test("every secret of a group is copied under its name, whatever bytes it holds", async () => {
  const binary = Buffer.from([0xff, 0x00, 0x80]);
  const { cluster, secrets } = clusterWithSecrets([
    kubectlSecret("dev-db", { USER: "me" }, { group: "dev" }),
    kubectlSecret("dev-key", { DER: binary }, { group: "dev" }),
    kubectlSecret("prod-db", { USER: "you" }, { group: "prod" }),
  ]);
  expect(await secrets.replicate("dev", "sea")).toBe(2);
  expect(cluster.objects(kinds.secret, "sea")).toMatchObject([
    { metadata: { name: "db", labels: { group: "dev" } }, data: { USER: "bWU=" } },
    { metadata: { name: "key", labels: { group: "dev" } }, data: { DER: binary.toString("base64") } },
  ]);
  expect(await secrets.replicate("nobody", "sea")).toBe(0);
});

test("what is the same already is not written again; what has changed is replaced, keys that went included", async () => {
  const { cluster, secrets } = clusterWithSecrets([
    kubectlSecret("dev-db", { A: "1", B: "2" }, { group: "dev" }),
    kubectlSecret("dev-same", { A: "1" }, { group: "dev" }),
  ]);
  await secrets.replicate("dev", "sea");
  cluster.calls.length = 0;
  await secrets.replicate("dev", "sea");
  expect(writes(cluster)).toEqual([]);
  cluster.put(kubectlSecret("dev-db", { A: "3" }, { group: "dev" }));
  await secrets.replicate("dev", "sea");
  expect(clearTexts(cluster, "db")).toEqual({ A: "3" });
  expect(writes(cluster)).toEqual(["replace Secret sea/db"]);
});

test("a copy that the original has made is replaced, with what others have written on it kept", async () => {
  const { cluster, secrets } = clusterWithSecrets([kubectlSecret("dev-db", { A: "new" }, { group: "dev" })]);
  const theirs = kubectlSecret("db", { A: "old" }, { namespace: "sea", group: "dev" });
  cluster.put({ ...theirs, metadata: { ...theirs.metadata, annotations: { theirs: "1" } } });
  await secrets.replicate("dev", "sea");
  expect(clearTexts(cluster, "db")).toEqual({ A: "new" });
  expect(cluster.objects(kinds.secret, "sea")[0]?.metadata.annotations).toMatchObject({ theirs: "1" });
});

test("a secret that a person has made under the same name is never touched, and nothing else is copied then", async () => {
  const { cluster, secrets } = clusterWithSecrets([
    kubectlSecret("dev-a", { A: "1" }, { group: "dev" }),
    kubectlSecret("dev-db", { A: "s3cr3t-value" }, { group: "dev" }),
    kubectlSecret("db", { A: "by hand" }, { namespace: "sea" }),
  ]);
  await expect(secrets.replicate("dev", "sea")).rejects.toMatchObject({
    code: "cluster-refused",
    message: expect.stringContaining("group=dev to namespace=sea"),
    details: ["db"],
    hint: expect.stringContaining("kubectl delete secret --namespace sea db"),
  });
  expect(namesIn(cluster)).toEqual(["db"]);
  expect(clearTexts(cluster, "db")).toEqual({ A: "by hand" });
});

test("a copy whose source has gone goes; what a person or the original has made stays", async () => {
  const { cluster, secrets } = clusterWithSecrets([
    kubectlSecret("mine", { A: "1" }, { namespace: "sea" }),
    kubectlSecret("originals", { A: "1" }, { namespace: "sea", group: "dev" }),
  ]);
  for (const name of ["a", "b"]) await secrets.createSecret("dev", name, concealed({ K: "v" }));
  await secrets.createSecret("prod", "c", concealed({ K: "v" }));
  await secrets.replicate("dev", "sea");
  await secrets.replicate("prod", "sea");
  expect(namesIn(cluster)).toEqual(["a", "b", "c", "mine", "originals"]);
  await secrets.deleteSecret("dev", "a");
  await secrets.deleteSecretGroup("prod");
  await secrets.replicate("dev", "sea");
  expect(namesIn(cluster)).toEqual(["b", "c", "mine", "originals"]);
});

test.each([
  ["a variable", { containers: [{ env: [{ valueFrom: { secretKeyRef: { name: "a", key: "K" } } }] }] }],
  ["all variables", { containers: [{ envFrom: [{ secretRef: { name: "a" } }] }] }],
  ["a volume", { volumes: [{ secret: { secretName: "a" } }] }],
  ["a part of a volume", { volumes: [{ projected: { sources: [{ secret: { name: "a" } }] } }] }],
  ["the credentials for an image", { imagePullSecrets: [{ name: "a" }] }],
])(
  "a copy that a service uses for %s stays when its source goes: pods of it must start again",
  async (_use, spec) => {
    const { cluster, secrets } = clusterWithSecrets([deployment(spec)]);
    for (const name of ["a", "b"]) await secrets.createSecret("dev", name, concealed({ K: "v" }));
    await secrets.replicate("dev", "sea");
    await secrets.deleteSecretGroup("dev");
    await secrets.replicate("dev", "sea");
    expect(namesIn(cluster)).toEqual(["a"]);
  },
);

function deployment(spec: Readonly<Record<string, unknown>>): KubernetesObject {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "serve", namespace: "sea" },
    spec: { template: { spec } },
  };
}

test("the copy has the type of its source, also when there is one of another type, or an immutable one", async () => {
  const registry: KubernetesObject = {
    ...kubectlSecret("dev-registry", { ".dockerconfigjson": "{}" }, { group: "dev" }),
    type: "kubernetes.io/dockerconfigjson",
  };
  const { cluster, secrets } = clusterWithSecrets([
    registry,
    kubectlSecret("dev-db", { A: "1" }, { group: "dev" }),
  ]);
  cluster.put(kubectlSecret("registry", { A: "1" }, { namespace: "sea", group: "dev" }));
  cluster.put({ ...kubectlSecret("db", { A: "0" }, { namespace: "sea", group: "dev" }), immutable: true });
  await secrets.replicate("dev", "sea");
  expect(cluster.objects(kinds.secret, "sea")).toMatchObject([
    { metadata: { name: "db" }, data: { A: "MQ==" } },
    { metadata: { name: "registry" }, type: "kubernetes.io/dockerconfigjson", data: registry.data },
  ]);
});

test("one secret is copied under its full name for Bodywork's own use, and none of its group goes by that", async () => {
  const { cluster, secrets } = clusterWithSecrets();
  await secrets.createSecret("ops", "bucket", concealed({ AWS_ACCESS_KEY_ID: "id" }));
  await secrets.createSecret("ops", "other", concealed({ K: "v" }));
  await secrets.replicate("ops", "sea");
  await secrets.copyOne("ops", "bucket", "sea");
  await secrets.replicate("ops", "sea");
  expect(namesIn(cluster)).toEqual(["bucket", "ops-bucket", "other"]);
  await expect(secrets.copyOne("ops", "none", "sea")).rejects.toMatchObject({
    code: "secret-missing",
    hint: "To create it: bodywork create secret none --group ops",
  });
});

test("in one namespace for everything, secrets of a group are never taken for copies", async () => {
  const { cluster } = clusterWithSecrets();
  const clock = { now: () => new Date(0) };
  const secrets = createClusterSecrets({ cluster, clock, namespace: "sea" });
  await secrets.createSecret("dev", "db", concealed({ K: "source" }));
  await secrets.copyOne("dev", "db", "sea");
  expect(namesIn(cluster)).toEqual(["dev-db"]);
  await secrets.replicate("dev", "sea");
  expect(namesIn(cluster)).toEqual(["db", "dev-db"]);
  // Its copy would have the name of the other one.
  await secrets.createSecret("dev", "dev-db", concealed({ K: "other" }));
  await expect(secrets.replicate("dev", "sea")).rejects.toMatchObject({ details: ["dev-db"] });
  expect(clearTexts(cluster, "dev-db")).toEqual({ K: "source" });
});
