import { sanitisedName } from "../../../core/naming.ts";
import { type Address, addressKey } from "../addresses.ts";
import type { Route } from "./routes.ts";

/** Where a request on the public address goes: what is left of its target, and what was taken off it. */
export type PublicTarget =
  | { readonly kind: "service"; readonly key: string; readonly target: string; readonly prefix: string }
  /** `problem` says in one line what is wrong with the path. */
  | { readonly kind: "unknown"; readonly problem: string };

/** The routes of one moment, ready to be asked. */
export interface RouteTable {
  /** By the key that `ofPublic` and `ofAddress` give. */
  route(key: string): Route | undefined;
  readonly routes: readonly Route[];
  ofPublic(requestTarget: string): PublicTarget;
  /** The key of the service with this stable address. */
  ofAddress(address: Address): string | undefined;
}

export function createRouteTable(routes: readonly Route[]): RouteTable {
  const byKey = new Map(routes.map((route) => [keyOf(route), route]));
  const byAddress = new Map(routes.map((route) => [addressKey(route.address), keyOf(route)]));
  const namespaces = new Map<string, Map<string, Route>>();
  // Sanitised names are entered last: where one stage's raw name is another's sanitised one, the latter has the path.
  for (const nameOf of [(route: Route) => route.rawStage, (route: Route) => route.stage]) {
    for (const route of routes) {
      for (const namespace of [route.namespace, sanitisedName(route.namespace)]) {
        const stages = namespaces.get(namespace) ?? new Map<string, Route>();
        namespaces.set(namespace, stages.set(nameOf(route), route));
      }
    }
  }
  return {
    routes,
    route: (key) => byKey.get(key),
    ofAddress: (address) => byAddress.get(addressKey(address)),
    ofPublic(requestTarget) {
      const { path, query } = splitTarget(requestTarget);
      const [namespace, stage, rest] = splitPath(path);
      const route = namespaces.get(namespace)?.get(stage);
      if (route?.ingress !== true)
        return { kind: "unknown", problem: problemOf(path, namespace, stage, namespaces) };
      return {
        kind: "service",
        key: keyOf(route),
        target: (rest === "" ? "/" : rest) + query,
        prefix: `/${namespace}/${stage}`,
      };
    },
  };
}

/** Tells services apart: two stages of one namespace may have the same sanitised name. */
export function keyOf({ namespace, rawStage }: Route): string {
  return `${namespace}/${rawStage}`;
}

/** A request target without the scheme and host that it may have (`GET http://host/path`, for proxies). */
export function originForm(requestTarget: string): string {
  const absolute = /^https?:\/\/[^/?#]*/i.exec(requestTarget);
  if (absolute === null) return requestTarget;
  const rest = requestTarget.slice(absolute[0].length);
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/**
 * Repeated slashes in the path become one (clients of the original write `/NAMESPACE//STAGE`), once; nothing is decoded,
 * and the query stays as it is.
 */
function splitTarget(requestTarget: string): { readonly path: string; readonly query: string } {
  const target = originForm(requestTarget);
  const queryAt = target.search(/[?#]/);
  const path = queryAt === -1 ? target : target.slice(0, queryAt);
  return {
    path: path.includes("//") ? path.replaceAll(/\/{2,}/g, "/") : path,
    query: queryAt === -1 ? "" : target.slice(queryAt),
  };
}

/** `/NAMESPACE/STAGE/rest` → the three, the last with its slash. */
function splitPath(path: string): readonly [namespace: string, stage: string, rest: string] {
  const second = path.indexOf("/", 1);
  if (!path.startsWith("/") || second === -1) return [path.slice(1), "", ""];
  const third = path.indexOf("/", second + 1);
  const end = third === -1 ? path.length : third;
  return [path.slice(1, second), path.slice(second + 1, end), path.slice(end)];
}

function problemOf(
  path: string,
  namespace: string,
  stage: string,
  namespaces: ReadonlyMap<string, ReadonlyMap<string, Route>>,
): string {
  if (namespace === "" || stage === "") {
    return `A service is found at /NAMESPACE/STAGE/, and the path is "${shortened(path)}".`;
  }
  const stages = namespaces.get(namespace);
  if (stages === undefined) return `There is no service in a namespace "${shortened(namespace)}".`;
  if (!stages.has(stage)) {
    return `There is no service "${shortened(stage)}" in the namespace "${namespace}".`;
  }
  return `The service "${stage}" of the namespace "${namespace}" is not open to the outside (ingress: false).`;
}

function shortened(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
