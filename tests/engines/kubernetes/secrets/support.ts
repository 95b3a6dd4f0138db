import type { KubernetesObject } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import { createClusterSecrets } from "../../../../src/engines/kubernetes/secrets/cluster-secrets.ts";
import { managementNamespace } from "../../../../src/engines/kubernetes/vocabulary.ts";
import { type FakeCluster, fakeCluster, namespaceObject } from "../../../support/fake-cluster.ts";

/** A cluster with the namespace `sea` of a pipeline, and the secrets of it. */
export function clusterWithSecrets(objects: readonly KubernetesObject[] = []): {
  cluster: FakeCluster;
  secrets: ReturnType<typeof createClusterSecrets>;
} {
  const cluster = fakeCluster();
  cluster.put(namespaceObject("sea"));
  for (const object of objects) cluster.put(object);
  const clock = { now: () => new Date("2026-11-25T19:00:00Z") };
  return { cluster, secrets: createClusterSecrets({ cluster, clock }) };
}

/** A Secret as `kubectl create secret generic` and `kubectl label` make it. */
export function kubectlSecret(
  name: string,
  data: Readonly<Record<string, string | Buffer>>,
  { namespace = managementNamespace, group }: { namespace?: string; group?: string } = {},
): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "Secret",
    type: "Opaque",
    metadata: { name, namespace, ...(group === undefined ? {} : { labels: { group } }) },
    data: Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
    ),
  };
}

/** Key → text of a Secret that is there; undefined when it is not. */
export function clearTexts(
  cluster: FakeCluster,
  name: string,
  namespace = "sea",
): Readonly<Record<string, string>> | undefined {
  const found = cluster.objects(kinds.secret, namespace).find(({ metadata }) => metadata.name === name);
  if (found === undefined) return undefined;
  return Object.fromEntries(
    Object.entries((found.data ?? {}) as Record<string, string>).map(([key, value]) => [
      key,
      Buffer.from(value, "base64").toString(),
    ]),
  );
}
