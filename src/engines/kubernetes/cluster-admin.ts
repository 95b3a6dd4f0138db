/** What is done to a cluster as a whole, by who looks after it. */

import { setTimeout as sleep } from "node:timers/promises";

import { Failure } from "../../core/failure.ts";
import {
  type Cluster,
  ClusterError,
  type Kind,
  type KubernetesObject,
  type Place,
} from "./client/cluster.ts";
import { createOnce } from "./client/create-once.ts";
import { kinds } from "./client/kinds.ts";
import { kindOf } from "./client/paths.ts";
import { clusterFailure } from "./client/to-failure.ts";
import { gatherRemoval, planRemoval, type RemovalPlan } from "./cluster-removal.ts";
import { lacksRights, type SetupLine, setupStep } from "./cluster-repair.ts";
import { clusterObjects } from "./manifests/cluster-setup.ts";
import { managementNamespace, workflowAccount, workflowRoleBinding } from "./vocabulary.ts";

/** `singleNamespace`: everything is kept in this one, which is there already. */
export interface ClusterScope {
  readonly singleNamespace?: string | undefined;
}

/**
 * Makes what is missing for controllers in the cluster, and mends what is not enough. What is there already, and whatever
 * somebody has added, stays. `objects`: all of it, as Kubernetes takes it. With `dryRun` nothing is changed. Fails:
 * cluster-refused, cluster-unreachable.
 */
export async function configureCluster(
  cluster: Cluster,
  { singleNamespace, dryRun = false }: ClusterScope & { readonly dryRun?: boolean },
): Promise<{ readonly lines: readonly SetupLine[]; readonly objects: readonly KubernetesObject[] }> {
  const objects = clusterObjects({ singleNamespace });
  const lines: SetupLine[] = [];
  for (const object of objects) {
    const { namespace, name } = object.metadata;
    const what = `${object.kind} ${name}`;
    const found = await told(`read ${what}`, () => cluster.get(kindOf(object), { namespace, name }));
    const step = setupStep(object, found);
    lines.push(...step.lines);
    if (dryRun || step.kind === "keep") continue;
    await told<unknown>(`configure the cluster: ${step.kind} ${what}`, () =>
      step.kind === "create" ? createOnce(cluster, step.object) : cluster.replace(step.object),
    );
  }
  return { lines, objects };
}

/**
 * Whether `configureCluster` has been run. `lines`: what is missing; when it is ready, what a new version needs besides.
 * What may not be looked at counts as there. Fails: cluster-unreachable.
 */
export async function clusterReadiness(
  cluster: Cluster,
  { singleNamespace }: ClusterScope,
): Promise<{ readonly ready: boolean; readonly lines: readonly string[] }> {
  const namespace = singleNamespace ?? managementNamespace;
  const isThere = async (kind: Kind, place: Place): Promise<boolean> =>
    (await look(cluster, kind, place)) !== "none";
  const missing: string[] = [];
  if (singleNamespace === undefined && !(await isThere(kinds.namespace, { name: namespace }))) {
    missing.push(`Could not find namespace=${namespace} on k8s cluster`);
  }
  if (!(await isThere(kinds.serviceAccount, { namespace, name: workflowAccount }))) {
    missing.push(`Missing service-account=${workflowAccount} from namespace=${namespace}`);
  }
  if (singleNamespace === undefined) {
    if (!(await isThere(kinds.clusterRoleBinding, { name: workflowRoleBinding }))) {
      missing.push(`Missing cluster-role-binding=${workflowRoleBinding}`);
    }
  } else if (!(await isThere(kinds.roleBinding, { namespace, name: workflowAccount }))) {
    missing.push(`Missing role-binding=${workflowAccount} from namespace=${namespace}`);
  }
  if (missing.length > 0) return { ready: false, lines: missing };
  return { ready: true, lines: await missingRights(cluster, { singleNamespace }) };
}

/**
 * Removes all that is Bodywork's, and returns when it is gone: cronjobs and jobs, services with their routes, history,
 * groups of secrets, accounts and rights; last the namespaces that it has made, if nothing else is in them. `kept`: what
 * stays, and why. With `dryRun` nothing goes: both lists say what would happen. Fails: not-allowed (services are deployed
 * or jobs run, and they shall not go), cluster-refused, cluster-unreachable.
 */
export async function removeCluster(
  cluster: Cluster,
  {
    singleNamespace,
    withDeployments,
    dryRun = false,
  }: ClusterScope & { readonly withDeployments: boolean; readonly dryRun?: boolean },
): Promise<{ readonly removed: readonly string[]; readonly kept: readonly string[] }> {
  const facts = await told("look for what is Bodywork's", () => gatherRemoval(cluster, singleNamespace));
  const plan = planRemoval(facts);
  if (!withDeployments && !dryRun && plan.live.length > 0) {
    throw new Failure("not-allowed", "Cannot remove Bodywork from the cluster: it is in use.", {
      details: plan.live,
      hint: "Delete the deployments first (bodywork delete deployment NAME), or say that they shall go, too.",
    });
  }
  if (!dryRun) await told("remove Bodywork from the cluster", () => carryOut(cluster, plan));
  return { removed: plan.removed, kept: plan.kept };
}

async function missingRights(cluster: Cluster, scope: ClusterScope): Promise<readonly string[]> {
  for (const object of clusterObjects(scope)) {
    if (object.kind !== "ClusterRole" && object.kind !== "Role") continue;
    const { namespace, name } = object.metadata;
    const found = await look(cluster, kindOf(object), { namespace, name });
    if (found === "unseen" || (found !== "none" && !lacksRights(object, found))) continue;
    const kind = object.kind === "Role" ? "role" : "cluster-role";
    return [
      `The ${kind}=${name} lacks rights that cronjobs and --async need: somebody who may should run configure-cluster again`,
    ];
  }
  return [];
}

async function look(
  cluster: Cluster,
  kind: Kind,
  place: Place,
): Promise<KubernetesObject | "none" | "unseen"> {
  try {
    return (await cluster.get(kind, place)) ?? "none";
  } catch (error) {
    if (error instanceof ClusterError && error.kind === "forbidden") return "unseen";
    throw clusterFailure(error, `read ${kind.kind} ${place.name}`);
  }
}

async function carryOut(cluster: Cluster, { objects, namespaces }: RemovalPlan): Promise<void> {
  for (const object of objects) {
    const { namespace, name, uid } = object.metadata;
    await cluster.delete(kindOf(object), { namespace, name }, { uid });
  }
  for (const { metadata } of namespaces) {
    await cluster.delete(kinds.namespace, { name: metadata.name }, { uid: metadata.uid });
  }
  for (const namespace of namespaces) await untilGone(cluster, namespace);
}

/** Milliseconds that a namespace may take to go, and between two looks. */
const patience = 120_000;
const lookAgain = 250;

async function untilGone(cluster: Cluster, { metadata }: KubernetesObject): Promise<void> {
  for (let waited = 0; waited < patience; waited += lookAgain) {
    const found = await cluster.get(kinds.namespace, { name: metadata.name });
    if (found === undefined || found.metadata.uid !== metadata.uid) return;
    await sleep(lookAgain);
  }
  throw new Failure(
    "cluster-refused",
    `All else of Bodywork's is gone, but namespace=${metadata.name} is still being deleted after ${patience / 1000} s.`,
    { hint: `See what keeps it: kubectl get namespace ${metadata.name} -o yaml` },
  );
}

async function told<T>(doing: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw clusterFailure(error, doing);
  }
}
