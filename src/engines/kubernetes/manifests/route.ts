import type { ServiceTask } from "../../../core/run-state.ts";
import type { KubernetesSettings } from "../../../core/settings.ts";
import type { Kind, KubernetesObject, ObjectMetadata } from "../client/cluster.ts";
import { kinds } from "../client/kinds.ts";
import { objectName, serviceName } from "./names.ts";
import type { Routing, RoutingFacts } from "./pod-context.ts";
import { stageLabels, stageNamespace } from "./stage-labels.ts";

/** What a route may consist of. Of those that the cluster serves, whatever a service does not need must go. */
export const routeKinds: readonly Kind[] = [kinds.httpRoute, kinds.ingress, kinds.middleware];

/**
 * How services are to be reached: as the settings say. `auto`: by the Gateway or the class that they name, else by the
 * only Gateway there is, else by a class of nginx or Traefik.
 */
export function chooseRouting(found: RoutingFacts, settings: RoutingSettings): Routing {
  switch (settings.routes) {
    case "none":
      return none("the settings say so (kubernetes.routes: none)");
    case "gateway":
      return gatewayRouting(found, settings);
    case "nginx":
    case "traefik":
      return { kind: settings.routes, ingressClass: classOf(settings.routes, found, settings) };
    case "auto":
      return automaticRouting(found, settings);
  }
}

type RoutingSettings = Pick<KubernetesSettings, "routes" | "gateway" | "ingress_class">;

/**
 * What leads requests for `/NAMESPACE/STAGE/…` to a service, which gets them without that beginning. Empty when it has no
 * ingress or there is no way in.
 */
export function routeObjects(task: ServiceTask, routing: Routing): readonly KubernetesObject[] {
  if (!task.stage.ingress) return [];
  switch (routing.kind) {
    case "gateway":
      return [httpRoute(task, routing.gateway)];
    case "nginx":
      return [nginxIngress(task, routing.ingressClass)];
    case "traefik":
      return [traefikMiddleware(task), traefikIngress(task, routing.ingressClass)];
    case "none":
      return [];
  }
}

/** `/NAMESPACE/STAGE`, as in the original. */
export function routePath(task: ServiceTask): string {
  return `/${stageNamespace(task)}/${objectName(task.stage.name)}`;
}

function none(why: string): Routing {
  return { kind: "none", why };
}

function gatewayRouting({ gateways }: RoutingFacts, { gateway }: RoutingSettings): Routing {
  if (gateways === undefined) return none("the cluster does not serve the Gateway API");
  const [only, ...others] = gateways;
  if (gateway !== undefined) {
    const [namespace = "", name = ""] = gateway.split("/");
    const isThere = gateways.some((other) => other.namespace === namespace && other.name === name);
    // Who may not list Gateways sees none; the one that is named may be there all the same.
    if (isThere || only === undefined) return { kind: "gateway", gateway: { namespace, name } };
    return none(`there is no Gateway ${gateway} (kubernetes.gateway), only ${listed(gateways)}`);
  }
  if (only === undefined) return none("the cluster has no Gateway");
  if (others.length > 0) {
    return none(`there are several Gateways, ${listed(gateways)}: name one by kubernetes.gateway`);
  }
  return { kind: "gateway", gateway: { namespace: only.namespace, name: only.name } };
}

function listed(gateways: readonly { readonly namespace: string; readonly name: string }[]): string {
  return gateways.map(({ namespace, name }) => `${namespace}/${name}`).join(", ");
}

type IngressKind = "nginx" | "traefik";

/** How their IngressClasses name the controllers that we have manifests for. */
const controllers: Readonly<Record<IngressKind, string>> = {
  nginx: "k8s.io/ingress-nginx",
  traefik: "traefik.io/ingress-controller",
};

function classOf(kind: IngressKind, { ingressClasses }: RoutingFacts, settings: RoutingSettings): string {
  const found = ingressClasses.find(({ controller }) => controller === controllers[kind]);
  return settings.ingress_class ?? found?.name ?? kind;
}

function automaticRouting(found: RoutingFacts, settings: RoutingSettings): Routing {
  if (settings.gateway !== undefined) return gatewayRouting(found, settings);
  if (settings.ingress_class !== undefined) return routingOfClass(settings.ingress_class, found);
  const byGateway = gatewayRouting(found, settings);
  if (byGateway.kind !== "none") return byGateway;
  const byIngress = ingressRouting(found);
  if (byIngress !== undefined) return byIngress;
  return none(`${byGateway.why}, and it has no IngressClass of nginx or Traefik`);
}

function ingressRouting({ ingressClasses }: RoutingFacts): Routing | undefined {
  for (const kind of ["nginx", "traefik"] as const) {
    const found = ingressClasses.find(({ controller }) => controller === controllers[kind]);
    if (found !== undefined) return { kind, ingressClass: found.name };
  }
  return undefined;
}

function routingOfClass(name: string, { ingressClasses }: RoutingFacts): Routing {
  const found = ingressClasses.find((other) => other.name === name);
  if (found === undefined) return none(`there is no IngressClass ${name} (kubernetes.ingress_class)`);
  const kind = (["nginx", "traefik"] as const).find((other) => controllers[other] === found.controller);
  if (kind !== undefined) return { kind, ingressClass: name };
  return none(
    `the IngressClass ${name} is of ${found.controller}, which has its own way of taking a prefix from a request; use a Gateway, or say by kubernetes.routes that it reads the annotations of nginx or Traefik`,
  );
}

function httpRoute(
  task: ServiceTask,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): KubernetesObject {
  return {
    apiVersion: kinds.httpRoute.apiVersion,
    kind: kinds.httpRoute.kind,
    metadata: metadata(task),
    spec: {
      parentRefs: [{ group: "gateway.networking.k8s.io", kind: "Gateway", namespace, name }],
      rules: [
        {
          matches: [{ path: { type: "PathPrefix", value: routePath(task) } }],
          filters: [
            {
              type: "URLRewrite",
              urlRewrite: { path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/" } },
            },
          ],
          backendRefs: [{ kind: "Service", name: serviceName(task.stage.name), port: task.stage.port }],
        },
      ],
    },
  };
}

/** As the original's, but with a class and a path type that today's controllers take. */
function nginxIngress(task: ServiceTask, ingressClass: string): KubernetesObject {
  const path = `${routePath(task).replaceAll(".", "\\.")}(/|$)(.*)`;
  return ingress(
    task,
    ingressClass,
    {
      "nginx.ingress.kubernetes.io/rewrite-target": "/$2",
      "nginx.ingress.kubernetes.io/use-regex": "true",
    },
    [{ path, pathType: "ImplementationSpecific" }],
  );
}

/** Traefik takes a `Prefix` letter by letter: without its last slash, `/space/stage-1` would be `/space/stage-10`, too. */
function traefikIngress(task: ServiceTask, ingressClass: string): KubernetesObject {
  const { namespace, name } = metadata(task);
  const path = routePath(task);
  return ingress(
    task,
    ingressClass,
    { "traefik.ingress.kubernetes.io/router.middlewares": `${namespace}-${name}@kubernetescrd` },
    [
      { path, pathType: "Exact" },
      { path: `${path}/`, pathType: "Prefix" },
    ],
  );
}

function traefikMiddleware(task: ServiceTask): KubernetesObject {
  return {
    apiVersion: kinds.middleware.apiVersion,
    kind: kinds.middleware.kind,
    metadata: metadata(task),
    spec: { stripPrefix: { prefixes: [routePath(task)] } },
  };
}

function ingress(
  task: ServiceTask,
  ingressClassName: string,
  annotations: Readonly<Record<string, string>>,
  paths: readonly { readonly path: string; readonly pathType: string }[],
): KubernetesObject {
  const { name, port } = { name: serviceName(task.stage.name), port: { number: task.stage.port } };
  const backend = { service: { name, port } };
  return {
    apiVersion: kinds.ingress.apiVersion,
    kind: kinds.ingress.kind,
    metadata: { ...metadata(task), annotations },
    spec: { ingressClassName, rules: [{ http: { paths: paths.map((path) => ({ ...path, backend })) } }] },
  };
}

function metadata(task: ServiceTask): ObjectMetadata & { readonly namespace: string } {
  return {
    name: objectName(task.stage.name),
    namespace: stageNamespace(task),
    labels: stageLabels(task),
  };
}
