import { Failure } from "../../core/failure.ts";
import { sanitisedName } from "../../core/naming.ts";
import type { Plan } from "../../core/plan.ts";
import type { TaskObserver } from "../../ports/engine.ts";
import { type Cluster, ClusterError, type Kind, type KubernetesObject } from "./client/cluster.ts";
import { createOnce } from "./client/create-once.ts";
import { kinds } from "./client/kinds.ts";
import { at, listAt, textAt } from "./client/objects.ts";
import { kindOf, placeOf } from "./client/paths.ts";
import { clusterFailure } from "./client/to-failure.ts";
import type { EngineRooms } from "./engine-parts.ts";
import { namespaceObjects } from "./manifests/cluster-setup.ts";
import { namespaceName } from "./manifests/names.ts";
import { isCopy } from "./secrets/replicate.ts";
import { untilNone, watchAll } from "./sight.ts";
import { annotations, labels, managementNamespace, originalManagers, stageAccount } from "./vocabulary.ts";

type Notes = Pick<TaskObserver, "note">;

/**
 * Makes the pipeline's namespace, and in it what stages run as, as far as they are not there. Fails: cluster-refused
 * (`Unable to setup namespace: …`, or the settings keep us in another one), cluster-unreachable.
 */
export async function prepareNamespace(
  plan: Pick<Plan, "namespace" | "deployment">,
  observer: Notes,
  signal: AbortSignal,
  rooms: Pick<EngineRooms, "cluster" | "clock" | "settings">,
): Promise<void> {
  const namespace = namespaceName(plan.namespace);
  const only = rooms.settings.single_namespace;
  if (only !== undefined && only !== namespace) {
    throw new Failure(
      "cluster-refused",
      `Unable to setup namespace: ${namespace} - the settings keep Bodywork in namespace ${only} (kubernetes.single_namespace).`,
      { hint: `Say "namespace: ${only}" in the pipeline section of the project file.` },
    );
  }
  try {
    const create = await isToBeCreated(namespace, observer, signal, rooms);
    const [wanted, ...rest] = namespaceObjects({ namespace, deployment: plan.deployment, create });
    const ofStages = create || wanted === undefined ? rest : [wanted, ...rest];
    observer.note("info", `${create ? "Creating" : "Using"} k8s namespace = ${namespace}`);
    if (create && wanted !== undefined) await createIfAbsent(rooms.cluster, wanted);
    await prepareAccount(ofStages, namespace, observer, rooms.cluster);
  } catch (error) {
    if (signal.aborted || !(error instanceof ClusterError)) throw error;
    const cause = clusterFailure(error, `set up namespace ${namespace}`);
    throw new Failure(cause.code, `Unable to setup namespace: ${namespace} - ${cause.message}`, {
      hint: cause.hint,
      details: cause.details,
      cause: error,
    });
  }
}

/**
 * Removes the namespace, if we have made it (or the original has, for that pipeline) and nothing else is in it, and waits
 * until it is gone; else only what is ours in it. Nothing goes as long as something of Bodywork's runs there.
 */
export async function leaveNamespace(
  name: string,
  deployment: string,
  observer: Notes,
  rooms: EngineRooms,
): Promise<void> {
  const { cluster, clock, sources } = rooms;
  const namespace = namespaceName(name);
  const only = rooms.settings.single_namespace;
  const found = only === undefined ? await cluster.get(kinds.namespace, { name: namespace }) : undefined;
  if (only === undefined && found === undefined) return;
  const ours = `${labels.app}=${labels.appValue}`;
  for (const kind of [kinds.deployment, kinds.job]) {
    if ((await cluster.list(kind, { namespace, labels: `${ours},${labels.stage}` })).length > 0) return;
  }
  const kept =
    found === undefined ? "the settings keep Bodywork in it" : await whyKept(found, deployment, cluster);
  if (kept === undefined) {
    observer.note("info", `Deleting k8s namespace = ${namespace}`);
    await cluster.delete(kinds.namespace, { name: namespace }, { uid: found?.metadata.uid });
    const fields = `metadata.name=${namespace}`;
    const uid = found?.metadata.uid;
    const isIt = ({ metadata }: KubernetesObject): boolean => metadata.uid === uid;
    if (!(await untilNone(cluster, kinds.namespace, { fields }, clock, isIt))) {
      observer.note("warning", `Namespace ${namespace} is still being deleted by the cluster.`);
    }
    return;
  }
  observer.note("info", `Keeping k8s namespace = ${namespace}: ${kept}`);
  await sources.removeAll(namespace);
  await removeOwn(namespace, cluster, only === undefined);
}

async function isToBeCreated(
  namespace: string,
  observer: Notes,
  signal: AbortSignal,
  { cluster, clock, settings }: Pick<EngineRooms, "cluster" | "clock" | "settings">,
): Promise<boolean> {
  // Who is kept in one namespace may not even look whether it is there.
  if (settings.single_namespace !== undefined) return false;
  const found = await cluster.get(kinds.namespace, { name: namespace });
  if (found === undefined) return true;
  if (!isTerminating(found)) return false;
  observer.note("info", `Waiting until k8s namespace = ${namespace} is gone: it is being deleted`);
  await untilGone(namespace, cluster, clock, signal);
  return true;
}

/** Seconds that a namespace which is being deleted may take. */
const mostWait = 60;

async function untilGone(
  namespace: string,
  cluster: Cluster,
  clock: EngineRooms["clock"],
  signal: AbortSignal,
): Promise<void> {
  const fields = `metadata.name=${namespace}`;
  const sight = await watchAll(cluster, { namespaces: [kinds.namespace, { fields }] }, clock, signal);
  const end = clock.monotonic() + mostWait * 1000;
  try {
    while (sight.found.namespaces.length > 0) {
      signal.throwIfAborted();
      const left = (end - clock.monotonic()) / 1000;
      const [found] = sight.found.namespaces;
      if (left <= 0 && found !== undefined) throw stillTerminating(namespace, found);
      await sight.changed(left);
    }
  } finally {
    sight.close();
  }
}

function stillTerminating(namespace: string, found: KubernetesObject): Failure {
  return new Failure(
    "cluster-refused",
    `Unable to setup namespace: ${namespace} - it is being deleted, and was not gone after ${mostWait} s.`,
    {
      details: listAt(found, "status", "conditions").flatMap((condition) =>
        textAt(condition, "status") === "True" ? (textAt(condition, "message") ?? []) : [],
      ),
      hint: `See what keeps it: kubectl get namespace ${namespace} -o yaml`,
    },
  );
}

function isTerminating(namespace: KubernetesObject): boolean {
  return (
    namespace.metadata.deletionTimestamp !== undefined ||
    textAt(namespace, "status", "phase") === "Terminating"
  );
}

/** What is there is not looked into: whoever made it may have given it other rights. */
async function prepareAccount(
  objects: readonly KubernetesObject[],
  namespace: string,
  observer: Notes,
  cluster: Cluster,
): Promise<void> {
  const isThere = await cluster.get(kinds.serviceAccount, { namespace, name: stageAccount });
  if (isThere === undefined) observer.note("info", `Creating k8s service account = ${stageAccount}`);
  for (const object of objects) await createIfAbsent(cluster, object);
}

/** Who may not create it may still find it there. */
async function createIfAbsent(cluster: Cluster, object: KubernetesObject): Promise<void> {
  if ((await cluster.get(kindOf(object), placeOf(object))) === undefined) await createOnce(cluster, object);
}

/** Namespaces that no pipeline is the owner of, whatever it is called. */
const everybodys: ReadonlySet<string> = new Set([
  "default",
  "kube-system",
  "kube-public",
  "kube-node-lease",
  managementNamespace,
]);

/** Why the namespace is not ours to delete; undefined when it is. */
async function whyKept(
  namespace: KubernetesObject,
  deployment: string,
  cluster: Cluster,
): Promise<string | undefined> {
  const { name, annotations: notes = {}, managedFields = [] } = namespace.metadata;
  if (everybodys.has(name)) return "it is everybody's";
  // The original leaves no mark of its own on those that it makes, but gives them the pipeline's name.
  const isOriginals =
    name === sanitisedName(deployment) &&
    managedFields.some(({ manager }) => originalManagers.includes(manager));
  if (notes[annotations.createdFor] === undefined && !isOriginals) return "it was there before Bodywork came";
  for (const [kind, isOther] of contents) {
    if (!(await cluster.has(kind))) continue;
    const others = (await cluster.list(kind, { namespace: name })).filter(isOther);
    const [first] = others;
    if (first !== undefined) {
      const more = others.length > 1 ? ` and ${others.length - 1} more` : "";
      return `it has something else in it (${kind.kind} ${first.metadata.name}${more})`;
    }
  }
  return undefined;
}

/** By what we write on all that we make, the original on most of it. */
function isOther({ metadata }: KubernetesObject): boolean {
  const { labels: its = {} } = metadata;
  return its[labels.app] !== labels.appValue && its[labels.managedBy] !== labels.appValue;
}

/** A pod that something of another kind has made goes with that, and a Job's of ours may still be on its way. */
function isOtherPod(pod: KubernetesObject): boolean {
  return isOther(pod) && listAt(pod, "metadata", "ownerReferences").length === 0;
}

const contents: readonly (readonly [Kind, (object: KubernetesObject) => boolean])[] = [
  [kinds.pod, isOtherPod],
  [kinds.deployment, isOther],
  [kinds.statefulSet, isOther],
  [kinds.daemonSet, isOther],
  [kinds.replicaSet, (one) => isOther(one) && listAt(one, "metadata", "ownerReferences").length === 0],
  [kinds.job, isOther],
  [kinds.cronJob, isOther],
  [kinds.service, (one) => isOther(one) && one.metadata.name !== "kubernetes"],
  [kinds.ingress, isOther],
  [kinds.configMap, (one) => isOther(one) && one.metadata.name !== "kube-root-ca.crt"],
  [kinds.secret, isOtherSecret],
  [kinds.persistentVolumeClaim, isOther],
];

/** Copies of a group have its label; tokens of accounts go with those. */
function isOtherSecret(secret: KubernetesObject): boolean {
  const isToken = at(secret, "type") === "kubernetes.io/service-account-token";
  return isOther(secret) && secret.metadata.labels?.[labels.group] === undefined && !isToken;
}

/** What we put into a namespace that stays. Claims stay, too: there may be what is worth keeping in them. */
async function removeOwn(namespace: string, cluster: Cluster, withAccount: boolean): Promise<void> {
  const secrets = await cluster.list(kinds.secret, { namespace, labels: labels.group });
  // Where the groups themselves are, only what was copied there goes.
  for (const { metadata } of secrets.filter(isCopy)) {
    await cluster.delete(kinds.secret, { namespace, name: metadata.name });
  }
  if (!withAccount) return;
  for (const kind of [kinds.roleBinding, kinds.role, kinds.serviceAccount]) {
    const place = { namespace, name: stageAccount };
    const found = await cluster.get(kind, place);
    if (found?.metadata.labels?.[labels.managedBy] === labels.appValue) await cluster.delete(kind, place);
  }
}
