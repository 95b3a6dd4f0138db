import type { Doing } from "./answers.ts";
import { ClusterError, type Kind, type KubernetesObject, type Place, type Selection } from "./cluster.ts";
import { kinds } from "./kinds.ts";
import type { Call } from "./requests.ts";

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** `/apis/apps/v1/namespaces/x/deployments/train?dryRun=All`. */
export function objectPath(kind: Kind, { namespace, name }: Place, query: Query = {}, below = ""): string {
  return `${collection(kind, namespace)}/${encodeURIComponent(name)}${below}${queryText(query)}`;
}

/** Without a namespace: of all of them. */
export function collectionPath(kind: Kind, namespace: string | undefined, query: Query = {}): string {
  return `${collection(kind, namespace)}${queryText(query)}`;
}

export function selectionQuery({ labels, fields }: Selection): Query {
  return { labelSelector: labels, fieldSelector: fields };
}

/** `/apis/apps/v1`, which lists the kinds that it serves. */
export function groupPath({ apiVersion }: Kind): string {
  return apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

/** The `apps` of `apps/v1`; "" for the core. */
export function groupOf({ apiVersion }: Kind): string {
  return apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
}

/** `deployments.apps`, as messages of the API server have it. */
export function doing(verb: string, kind: Kind, namespace: string | undefined): Doing {
  const group = groupOf(kind);
  return { verb, resource: group === "" ? kind.plural : `${kind.plural}.${group}`, namespace };
}

/** Fails: invalid, when it is none of `kinds.ts`. */
export function kindOf({ apiVersion, kind }: KubernetesObject): Kind {
  const found = known.get(`${apiVersion}/${kind}`);
  if (found === undefined)
    throw new ClusterError("invalid", `${apiVersion} ${kind} is no kind that is known here`);
  return found;
}

export function placeOf({ metadata: { namespace, name } }: KubernetesObject): Place {
  return { namespace, name };
}

export function jsonBody(value: unknown, type = "application/json"): NonNullable<Call["body"]> {
  return { type, text: JSON.stringify(value) };
}

const known = new Map<string, Kind>(
  Object.values(kinds).map((kind) => [`${kind.apiVersion}/${kind.kind}`, kind]),
);

function collection(kind: Kind, namespace: string | undefined): string {
  const where =
    kind.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${groupPath(kind)}${where}/${kind.plural}`;
}

function queryText(query: Query): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as [string, string]],
  );
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}
