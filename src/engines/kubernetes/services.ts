import type { ServiceStatus, ServiceTask } from "../../core/run-state.ts";
import type { KubernetesSettings } from "../../core/settings.ts";
import type { ServiceName } from "../../ports/engine.ts";
import type { Cluster, KubernetesObject } from "./client/cluster.ts";
import { kinds } from "./client/kinds.ts";
import { serviceName } from "./manifests/names.ts";
import { serviceKey, serviceStatus, taskOf } from "./read-status/service-status.ts";
import { labels } from "./vocabulary.ts";

/** The services of the cluster as they were when last looked at, in memory: who asks for them can't wait. */
export interface LiveServices {
  /** Of all namespaces when undefined. */
  load(namespace?: string): Promise<void>;
  /** Looks at one anew. */
  refresh(service: ServiceName): Promise<void>;
  current(service: ServiceName): ServiceTask | undefined;
  statuses(): readonly ServiceStatus[];
}

interface LiveService {
  readonly deployment: KubernetesObject;
  readonly pods: readonly KubernetesObject[];
  readonly service: KubernetesObject | undefined;
  readonly hasRoute: boolean;
}

export function createLiveServices(
  cluster: Cluster,
  settings: Pick<KubernetesSettings, "single_namespace" | "url">,
): LiveServices {
  const live = new Map<string, LiveService>();
  return {
    async load(only = settings.single_namespace) {
      const read = await readServices(cluster, only, `${labels.app}=${labels.appValue}`);
      for (const [key, { deployment }] of live) {
        if (only === undefined || deployment.metadata.namespace === only) live.delete(key);
      }
      for (const [key, service] of read) live.set(key, service);
    },
    async refresh({ namespace, stage }) {
      const key = serviceKey(namespace, stage);
      const [place = "", name = ""] = key.split("/");
      const selection = `${labels.app}=${labels.appValue},${labels.stage}=${name}`;
      const found = (await readServices(cluster, place, selection)).get(key);
      if (found === undefined) live.delete(key);
      else live.set(key, found);
    },
    current({ namespace, stage }) {
      const found = live.get(serviceKey(namespace, stage));
      return found === undefined ? undefined : taskOf(found.deployment);
    },
    statuses: () =>
      [...live.values()].map(({ deployment, ...around }) =>
        serviceStatus(deployment, { ...around, url: settings.url }),
      ),
  };
}

async function readServices(
  cluster: Cluster,
  namespace: string | undefined,
  selection: string,
): Promise<ReadonlyMap<string, LiveService>> {
  const list = async (kind: (typeof kinds)[keyof typeof kinds]): Promise<readonly KubernetesObject[]> =>
    (await cluster.has(kind)) ? cluster.list(kind, { namespace, labels: selection }) : [];
  const [deployments, pods, services, httpRoutes, ingresses] = await Promise.all([
    cluster.list(kinds.deployment, { namespace, labels: `${selection},${labels.stage}` }),
    cluster.list(kinds.pod, { namespace, labels: selection }),
    cluster.list(kinds.service, { namespace, labels: selection }),
    list(kinds.httpRoute),
    list(kinds.ingress),
  ]);
  const routes = new Set([...httpRoutes, ...ingresses].map(placeOf));
  const podsOf = Map.groupBy(
    pods,
    (pod) => `${pod.metadata.namespace}/${pod.metadata.labels?.[labels.stage]}`,
  );
  return new Map(
    deployments.map((deployment) => {
      const place = placeOf(deployment);
      const { name } = deployment.metadata;
      return [
        place,
        {
          deployment,
          pods: podsOf.get(place) ?? [],
          service: services.find(
            (found) =>
              found.metadata.namespace === deployment.metadata.namespace &&
              (found.metadata.name === name || found.metadata.name === serviceName(name)),
          ),
          hasRoute: routes.has(place),
        },
      ];
    }),
  );
}

function placeOf({ metadata }: KubernetesObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}
