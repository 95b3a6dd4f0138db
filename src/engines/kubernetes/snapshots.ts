import type { ServiceTask } from "../../core/run-state.ts";
import type { Cluster, Kind, KubernetesObject, Place } from "./client/cluster.ts";
import { kinds } from "./client/kinds.ts";
import { fieldsOf } from "./client/objects.ts";
import type { EngineRooms } from "./engine-parts.ts";
import { objectName, serviceName } from "./manifests/names.ts";
import { routeKinds } from "./manifests/route.ts";
import { stageNamespace } from "./manifests/stage-labels.ts";
import { labels } from "./vocabulary.ts";

/**
 * What a service consisted of before a run changed it; a document of the record until the roll-out is over. Of what another
 * tool had deployed it stays as long as the run's record does, for there is no other way back to it.
 */
export interface Snapshot {
  readonly task: ServiceTask;
  /** `changing`: whether the roll-out came to an end is not known. */
  readonly state: "changing" | "changed";
  /** The uid of the Deployment; undefined when there was none. */
  readonly uid: string | undefined;
  /** Deployment, Service, PodDisruptionBudget and routes, as they can be applied again. */
  readonly objects: readonly KubernetesObject[];
}

const collection = "snapshots";

export function snapshotKey({ runId, node }: Pick<ServiceTask, "runId" | "node">): string {
  return `${runId}/${node}`;
}

/** Takes it and waits until it is on record. */
export async function takeSnapshot(
  task: ServiceTask,
  { cluster, store }: Pick<EngineRooms, "cluster" | "store">,
): Promise<Snapshot> {
  const objects = await objectsOf(task, cluster);
  const deployment = objects.find(({ kind }) => kind === kinds.deployment.kind);
  const snapshot: Snapshot = {
    task,
    state: "changing",
    uid: deployment?.metadata.uid,
    objects: objects.map(cleaned),
  };
  store.saveDocument(collection, snapshotKey(task), snapshot);
  await store.settled();
  return snapshot;
}

export function snapshotOf(task: ServiceTask, { store }: Pick<EngineRooms, "store">): Snapshot | undefined {
  return store.document<Snapshot>(collection, snapshotKey(task));
}

export function snapshotsOfRun(runId: string, { store }: Pick<EngineRooms, "store">): readonly Snapshot[] {
  return [...store.documents<Snapshot>(collection).values()].filter(({ task }) => task.runId === runId);
}

/** The one of what another tool had deployed, by the uid of its Deployment. */
export function snapshotOfOriginal(uid: string, { store }: Pick<EngineRooms, "store">): Snapshot | undefined {
  return [...store.documents<Snapshot>(collection).values()].find((snapshot) => snapshot.uid === uid);
}

export function saveSnapshot(snapshot: Snapshot, { store }: Pick<EngineRooms, "store">): void {
  store.saveDocument(collection, snapshotKey(snapshot.task), snapshot);
}

export function forgetSnapshot(task: ServiceTask, { store }: Pick<EngineRooms, "store">): void {
  const key = snapshotKey(task);
  if (store.document(collection, key) !== undefined) store.removeDocument(collection, key);
}

/** Applies all that was there, and removes what was not. */
export async function applySnapshot(
  { task, objects }: Snapshot,
  { cluster }: Pick<EngineRooms, "cluster">,
): Promise<void> {
  for (const object of objects) await cluster.apply(object);
  for (const [kind, place] of await placesOf(task, cluster)) {
    const wasThere = objects.some(
      (object) =>
        object.apiVersion === kind.apiVersion &&
        object.kind === kind.kind &&
        object.metadata.name === place.name,
    );
    if (!wasThere) await deleteOurs(kind, place, cluster);
  }
}

/** Leaves alone what only has the name: it is somebody else's. */
export async function deleteOurs(kind: Kind, place: Place, cluster: Cluster): Promise<void> {
  const found = await cluster.get(kind, place);
  if (found?.metadata.labels?.[labels.app] !== labels.appValue) return;
  const { uid } = found.metadata;
  await cluster.delete(kind, place, { foreground: kind === kinds.deployment, uid });
}

/** Where a service's objects are, routes first: requests stop before what answers them goes. */
export async function placesOf(
  task: ServiceTask,
  cluster: Cluster,
): Promise<readonly (readonly [Kind, Place])[]> {
  const namespace = stageNamespace(task);
  const name = objectName(task.stage.name);
  const routes: Kind[] = [];
  for (const kind of routeKinds) if (await cluster.has(kind)) routes.push(kind);
  return [
    ...routes.map((kind) => [kind, { namespace, name }] as const),
    [kinds.deployment, { namespace, name }],
    [kinds.service, { namespace, name: serviceName(task.stage.name) }],
    [kinds.disruptionBudget, { namespace, name }],
  ];
}

async function objectsOf(task: ServiceTask, cluster: Cluster): Promise<readonly KubernetesObject[]> {
  const places = await placesOf(task, cluster);
  const found = await Promise.all(places.map(([kind, place]) => cluster.get(kind, place)));
  return found.flatMap((object) => object ?? []);
}

/** What the cluster itself has written on an object. */
const serverNotes: readonly string[] = ["deployment.kubernetes.io/revision"];
const serverFields: readonly string[] = ["clusterIP", "clusterIPs", "healthCheckNodePort"];

/** The object as somebody would write it, to be applied again. */
export function cleaned({ apiVersion, kind, metadata, ...rest }: KubernetesObject): KubernetesObject {
  const { name, namespace, labels, annotations = {} } = metadata;
  const notes = Object.entries(annotations).filter(
    ([note]) => !serverNotes.includes(note) && note !== "kubectl.kubernetes.io/last-applied-configuration",
  );
  const { status: _, spec, ...others } = rest as Readonly<Record<string, unknown>>;
  const isService = kind === kinds.service.kind;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(labels === undefined ? {} : { labels }),
      ...(notes.length === 0 ? {} : { annotations: Object.fromEntries(notes) }),
    },
    ...others,
    ...(spec === undefined
      ? {}
      : {
          spec: Object.fromEntries(
            Object.entries(fieldsOf(spec)).filter(([field]) => !isService || !serverFields.includes(field)),
          ),
        }),
  };
}
