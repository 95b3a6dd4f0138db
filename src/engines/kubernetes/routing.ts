import type { KubernetesSettings } from "../../core/settings.ts";
import { type Cluster, ClusterError, type Kind, type KubernetesObject } from "./client/cluster.ts";
import { kinds } from "./client/kinds.ts";
import { textAt } from "./client/objects.ts";
import type { Routing, RoutingFacts } from "./manifests/pod-context.ts";
import { chooseRouting } from "./manifests/route.ts";

const known = new WeakMap<Cluster, Promise<RoutingFacts>>();

/** How services of this cluster are reached from outside; what it depends on is asked once. */
export async function findRouting(cluster: Cluster, settings: KubernetesSettings): Promise<Routing> {
  const facts = known.get(cluster) ?? readFacts(cluster);
  known.set(cluster, facts);
  facts.catch(() => known.delete(cluster));
  return chooseRouting(await facts, settings);
}

async function readFacts(cluster: Cluster): Promise<RoutingFacts> {
  const servesGateways = await cluster.has(kinds.gateway);
  const [gateways, classes] = await Promise.all([
    servesGateways ? listOrNone(cluster, kinds.gateway) : undefined,
    listOrNone(cluster, kinds.ingressClass),
  ]);
  return {
    gateways: gateways?.map(({ metadata }) => ({ namespace: metadata.namespace ?? "", name: metadata.name })),
    ingressClasses: classes.map((one) => ({
      name: one.metadata.name,
      controller: textAt(one, "spec", "controller") ?? "",
    })),
  };
}

/** Who may not list them sees none: then only what the settings name is used. */
async function listOrNone(cluster: Cluster, kind: Kind): Promise<readonly KubernetesObject[]> {
  try {
    return await cluster.list(kind);
  } catch (error) {
    if (error instanceof ClusterError && error.kind === "forbidden") return [];
    throw error;
  }
}
