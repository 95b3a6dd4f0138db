/** What of a cluster is Bodywork's, and in which order it goes. */

import type { Cluster, Kind, KubernetesObject } from "./client/cluster.ts";
import { kinds } from "./client/kinds.ts";
import { numberAt, textAt } from "./client/objects.ts";
import {
  annotations,
  labels,
  managementNamespace,
  stageAccount,
  workflowAccount,
  workflowRoleBinding,
} from "./vocabulary.ts";

export interface RemovalFacts {
  /** Undefined: the management namespace is ours as a whole. */
  readonly singleNamespace: string | undefined;
  /** All that is ours, but namespaces. */
  readonly own: readonly KubernetesObject[];
  /** Those that Bodywork or the original has made, with all that is in them. */
  readonly namespaces: readonly {
    readonly namespace: KubernetesObject;
    readonly contents: readonly KubernetesObject[];
  }[];
}

export interface RemovalPlan {
  /** Why the cluster is in use: services that are deployed, jobs that run. */
  readonly live: readonly string[];
  /** In the order in which they are deleted; without what goes with its namespace. */
  readonly objects: readonly KubernetesObject[];
  /** Deleted after them. */
  readonly namespaces: readonly KubernetesObject[];
  /** One line for each thing, or for many of the same kind. */
  readonly removed: readonly string[];
  readonly kept: readonly string[];
}

/** First what makes other things, last what gives the right to. */
const order: readonly Kind[] = [
  ...[kinds.cronJob, kinds.job],
  ...[kinds.httpRoute, kinds.ingress, kinds.middleware],
  ...[kinds.deployment, kinds.disruptionBudget, kinds.service],
  ...[kinds.persistentVolumeClaim, kinds.secret, kinds.configMap, kinds.lease],
  ...[kinds.roleBinding, kinds.role, kinds.serviceAccount],
  ...[kinds.clusterRoleBinding, kinds.clusterRole],
];

/** Looks in one namespace alone when there is but that one. */
export async function gatherRemoval(
  cluster: Cluster,
  singleNamespace: string | undefined,
): Promise<RemovalFacts> {
  const own = new Map<string, KubernetesObject>();
  const add = (objects: readonly (KubernetesObject | undefined)[]): void => {
    for (const object of objects) if (object !== undefined) own.set(placeOf(object), object);
  };
  const namespace = singleNamespace;
  const managed = `${labels.managedBy}=${labels.appValue}`;
  for (const kind of order.filter(({ namespaced }) => namespaced)) {
    if (!(await cluster.has(kind))) continue;
    add(await cluster.list(kind, { namespace, labels: managed }));
    // As the original labels what it makes: the first one alone may be another's `app`.
    for (const label of [labels.stage, labels.deploymentName]) {
      add(await cluster.list(kind, { namespace, labels: `${labels.app}=${labels.appValue},${label}` }));
    }
  }
  // The original has not labelled these.
  for (const kind of [kinds.roleBinding, kinds.role, kinds.serviceAccount]) {
    add(await cluster.list(kind, { namespace, fields: `metadata.name=${stageAccount}` }));
    const home = singleNamespace ?? managementNamespace;
    add([await cluster.get(kind, { namespace: home, name: workflowAccount })]);
  }
  add(
    await cluster.list(kinds.secret, {
      namespace: singleNamespace ?? managementNamespace,
      labels: labels.group,
    }),
  );
  if (singleNamespace !== undefined) return { singleNamespace, own: [...own.values()], namespaces: [] };

  add([
    await cluster.get(kinds.clusterRoleBinding, { name: workflowRoleBinding }),
    await cluster.get(kinds.clusterRole, { name: workflowAccount }),
  ]);
  const marked = await cluster.list(kinds.namespace, { labels: managed });
  const home = await cluster.get(kinds.namespace, { name: managementNamespace });
  const made = marked.filter(({ metadata }) => metadata.annotations?.[annotations.createdFor] !== undefined);
  const candidates = [...made, ...(home === undefined ? [] : [home])];
  const namespaces = [];
  for (const candidate of candidates) {
    namespaces.push({ namespace: candidate, contents: await contentsOf(cluster, candidate.metadata.name) });
  }
  return { singleNamespace, own: [...own.values()], namespaces };
}

/** What somebody may have put into a namespace. */
const contentKinds: readonly Kind[] = [
  ...[
    kinds.pod,
    kinds.deployment,
    kinds.statefulSet,
    kinds.daemonSet,
    kinds.replicaSet,
    kinds.job,
    kinds.cronJob,
  ],
  ...[kinds.service, kinds.ingress, kinds.configMap, kinds.secret, kinds.persistentVolumeClaim],
  ...[kinds.serviceAccount, kinds.role, kinds.roleBinding],
];

async function contentsOf(cluster: Cluster, namespace: string): Promise<readonly KubernetesObject[]> {
  const contents: KubernetesObject[] = [];
  for (const kind of contentKinds) contents.push(...(await cluster.list(kind, { namespace })));
  return contents;
}

export function planRemoval({ singleNamespace, own, namespaces }: RemovalFacts): RemovalPlan {
  const places = new Set(own.map(placeOf));
  const others = namespaces.map(({ namespace, contents }) => ({
    namespace,
    foreign: contents.filter((object) => !places.has(placeOf(object)) && isSomebodys(object)),
  }));
  const going = others.filter(({ foreign }) => foreign.length === 0).map(({ namespace }) => namespace);
  const goingNames = new Set(going.map(({ metadata }) => metadata.name));
  const goesAlong = ({ metadata }: KubernetesObject): boolean => goingNames.has(metadata.namespace ?? "");
  // What is in a claim may be worth keeping, and so may its namespace.
  const isKept = (object: KubernetesObject): boolean =>
    object.kind === kinds.persistentVolumeClaim.kind && !goesAlong(object);
  const sorted = own.filter((object) => !isKept(object)).toSorted((a, b) => rank(a) - rank(b));
  return {
    live: own.flatMap((object) => livingText(object) ?? []),
    objects: sorted.filter((object) => !goesAlong(object) || rank(object) <= order.indexOf(kinds.job)),
    namespaces: going,
    removed: [...inventory(sorted), ...going.map(({ metadata }) => `Namespace ${metadata.name}`)],
    kept: [
      ...own.filter(isKept).map((object) => `${nameOf(object)}: what is in it may be worth keeping`),
      ...others.flatMap(({ namespace, foreign }) => keptText(namespace, foreign) ?? []),
      ...(singleNamespace === undefined ? [] : [`Namespace ${singleNamespace}: Bodywork has not made it`]),
    ],
  };
}

/** Neither of the cluster itself, nor made by something that is looked at by itself, nor on its way out. */
function isSomebodys(object: KubernetesObject): boolean {
  const { name, ownerReferences = [], deletionTimestamp } = object.metadata;
  if (ownerReferences.length > 0 || deletionTimestamp !== undefined) return false;
  switch (object.kind) {
    case "ServiceAccount":
      return name !== "default";
    case "ConfigMap":
      return name !== "kube-root-ca.crt";
    case "Secret":
      return textAt(object, "type") !== "kubernetes.io/service-account-token";
    default:
      return true;
  }
}

function livingText(object: KubernetesObject): string | undefined {
  const { namespace, name, labels: its = {}, annotations: notes = {} } = object.metadata;
  if (object.kind === "Deployment") {
    const deployment = notes[annotations.deploymentName] ?? its[labels.deploymentName];
    return `service=${name} in namespace=${namespace}${deployment === undefined ? "" : ` of deployment=${deployment}`}`;
  }
  if (object.kind !== "Job" || (numberAt(object, "status", "active") ?? 0) === 0) return undefined;
  return `job=${name} in namespace=${namespace} runs`;
}

function keptText({ metadata }: KubernetesObject, foreign: readonly KubernetesObject[]): string | undefined {
  const [first] = foreign;
  if (first === undefined) return undefined;
  const more = foreign.length > 1 ? ` and ${foreign.length - 1} more` : "";
  return `Namespace ${metadata.name}: it has something else in it (${first.kind} ${first.metadata.name}${more})`;
}

/** History and commits are many objects, which nobody wants to read the names of. */
function inventory(objects: readonly KubernetesObject[]): readonly string[] {
  const lines = new Map<string, number>();
  for (const object of objects) {
    const line = crowdOf(object) ?? nameOf(object);
    lines.set(line, (lines.get(line) ?? 0) + 1);
  }
  return [...lines].map(([line, count]) => line.replace("COUNT", String(count)));
}

function crowdOf({ kind, metadata }: KubernetesObject): string | undefined {
  const { namespace, labels: its = {} } = metadata;
  if (its[labels.record] !== undefined) return `${kind} ${namespace}: COUNT of the history`;
  return its[labels.part] === undefined ? undefined : `${kind} ${namespace}: COUNT with code for stages`;
}

function nameOf({ kind, metadata: { namespace, name } }: KubernetesObject): string {
  return `${kind} ${namespace === undefined ? name : `${namespace}/${name}`}`;
}

function placeOf(object: KubernetesObject): string {
  return `${object.apiVersion.replace(/\/.*/, "")} ${nameOf(object)}`;
}

function rank(object: KubernetesObject): number {
  return order.findIndex(({ kind }) => kind === object.kind);
}
