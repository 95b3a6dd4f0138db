/** What the scripted API server keeps, and the rules by which it changes: no HTTP, no faults. */

import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Kind, KubernetesObject, Place } from "../../src/engines/kubernetes/client/cluster.ts";
import { applied, ownedAfterUpdate } from "./scripted-fields.ts";

/** An answer that is no success: a Status. */
export class Refusal extends Error {
  readonly status: number;
  readonly reason: string;
  readonly causes: readonly Readonly<Record<string, string>>[];

  constructor(
    status: number,
    reason: string,
    message: string,
    causes: readonly Readonly<Record<string, string>>[] = [],
  ) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.causes = causes;
  }
}

export interface Change {
  readonly version: number;
  readonly kind: Kind;
  readonly before: KubernetesObject | undefined;
  readonly after: KubernetesObject | undefined;
}

export interface Write {
  readonly manager: string;
  readonly dryRun?: boolean;
}

export interface Objects {
  readonly version: number;
  /** The latest ones; what was before is too old. */
  readonly history: readonly Change[];
  /** From which version on a watch can begin. */
  readonly oldest: number;
  onChange: (change: Change) => void;
  all(kind: Kind, namespace?: string): readonly KubernetesObject[];
  get(kind: Kind, place: Place): KubernetesObject | undefined;
  create(kind: Kind, object: KubernetesObject, write: Write): KubernetesObject;
  replace(kind: Kind, object: KubernetesObject, write: Write): KubernetesObject;
  apply(kind: Kind, object: KubernetesObject, write: Write & { readonly force: boolean }): KubernetesObject;
  patch(
    kind: Kind,
    place: Place,
    change: (object: KubernetesObject) => KubernetesObject,
    write: Write,
  ): KubernetesObject;
  /** As a controller does it: with its status, whatever is there. */
  put(kind: Kind, object: KubernetesObject): KubernetesObject;
  /** With its dependents, and a namespace's contents. */
  remove(kind: Kind, place: Place, uid?: string): void;
  /** Forgets its history, as etcd does when it is compacted. */
  compact(): void;
}

export function createObjects(knownKinds: readonly Kind[], window: number): Objects {
  const stored = new Map<string, { readonly kind: Kind; readonly object: KubernetesObject }>();
  let version = 100;
  let oldest = version;
  let history: Change[] = [];
  const namespaceKind = knownKinds.find(({ plural }) => plural === "namespaces");

  const objects: Objects = {
    get version() {
      return version;
    },
    get history() {
      return history;
    },
    get oldest() {
      return oldest;
    },
    onChange: () => {},
    all: (kind, namespace) =>
      [...stored.entries()]
        .filter(([, { kind: other }]) => sameKind(kind, other))
        .filter(([, { object }]) => namespace === undefined || object.metadata.namespace === namespace)
        .sort(([left], [right]) => (left < right ? -1 : 1))
        .map(([, { object }]) => object),
    get: (kind, place) => stored.get(keyOf(kind, place))?.object,
    create(kind, object, { manager, dryRun }) {
      const { name, namespace } = object.metadata;
      if (objects.get(kind, object.metadata) !== undefined) {
        throw new Refusal(409, "AlreadyExists", `${resourceOf(kind)} "${name}" already exists`);
      }
      needNamespace(kind, namespace);
      checkSize(object);
      const { managedFields: _none, ...metadata } = object.metadata;
      const born = {
        ...object,
        metadata: {
          ...metadata,
          uid: randomUUID(),
          generation: 1,
          creationTimestamp: new Date().toISOString(),
        },
      };
      return save(kind, undefined, ownedAfterUpdate(undefined, withoutStatus(born), manager), dryRun);
    },
    replace(kind, object, write) {
      return objects.patch(kind, object.metadata, () => object, write);
    },
    apply(kind, object, { manager, dryRun, force }) {
      if (object.metadata.managedFields !== undefined) {
        throw new Refusal(400, "BadRequest", "metadata.managedFields must be nil");
      }
      const live = objects.get(kind, object.metadata);
      if (live === undefined) {
        needNamespace(kind, object.metadata.namespace);
        checkSize(object);
        const born = {
          ...withoutStatus(object),
          metadata: {
            ...object.metadata,
            uid: randomUUID(),
            generation: 1,
            creationTimestamp: new Date().toISOString(),
          },
        };
        const made = applied(born, object, manager, force);
        if ("conflicts" in made) throw new Error("an object that is not there has no owner");
        return save(kind, undefined, made.object, dryRun);
      }
      checkVersion(kind, live, object);
      const made = applied(live, object, manager, force);
      if ("object" in made) return save(kind, live, made.object, dryRun);
      const { conflicts } = made;
      throw new Refusal(
        409,
        "Conflict",
        `Apply failed with ${conflicts.length} conflict${conflicts.length === 1 ? "" : "s"}: ${conflicts
          .map(
            (conflict) =>
              `conflict with "${conflict.manager}" using ${conflict.apiVersion}: ${conflict.field}`,
          )
          .join(", ")}`,
        conflicts.map((conflict) => ({
          reason: "FieldManagerConflict",
          message: `conflict with "${conflict.manager}" using ${conflict.apiVersion}`,
          field: conflict.field,
        })),
      );
    },
    patch(kind, place, change, { manager, dryRun }) {
      const live = objects.get(kind, place);
      if (live === undefined) throw notFound(kind, place.name);
      const wanted = change(structuredClone(live));
      checkVersion(kind, live, wanted);
      checkSize(wanted);
      const { uid, creationTimestamp, generation, managedFields } = live.metadata;
      const next = {
        ...wanted,
        metadata: {
          ...wanted.metadata,
          uid,
          creationTimestamp,
          generation,
          managedFields: wanted.metadata.managedFields ?? managedFields,
        },
        ...("status" in live ? { status: live.status } : {}),
      } as KubernetesObject;
      return save(kind, live, ownedAfterUpdate(live, next, manager), dryRun);
    },
    put(kind, object) {
      const live = objects.get(kind, object.metadata);
      const born = { uid: randomUUID(), generation: 1, creationTimestamp: new Date().toISOString() };
      const metadata = { ...(live?.metadata ?? born), ...object.metadata };
      return save(kind, live, { ...live, ...object, metadata }, false);
    },
    remove(kind, place, uid) {
      const live = objects.get(kind, place);
      if (live === undefined) throw notFound(kind, place.name);
      if (uid !== undefined && live.metadata.uid !== uid) {
        throw new Refusal(
          409,
          "Conflict",
          `the UID in the precondition (${uid}) does not match the UID of the object`,
        );
      }
      stored.delete(keyOf(kind, place));
      version++;
      tell({ version, kind, before: live, after: undefined });
      for (const { kind: below, object } of [...stored.values()]) {
        const isOwned = (object.metadata.ownerReferences ?? []).some(
          (owner) => owner.uid === live.metadata.uid,
        );
        const isInside = kind.plural === "namespaces" && object.metadata.namespace === live.metadata.name;
        const isThere = stored.has(keyOf(below, object.metadata));
        if (isThere && (isOwned || isInside)) objects.remove(below, object.metadata);
      }
    },
    compact() {
      history = [];
      oldest = ++version;
    },
  };
  return objects;

  function save(
    kind: Kind,
    before: KubernetesObject | undefined,
    object: KubernetesObject,
    dryRun = false,
  ): KubernetesObject {
    // What is as it was makes no new version.
    if (before !== undefined && isDeepStrictEqual(contentOf(before), contentOf(object))) return before;
    const isNewSpec = before !== undefined && !isDeepStrictEqual(specOf(before), specOf(object));
    const next = {
      ...object,
      metadata: {
        ...object.metadata,
        generation: (before?.metadata.generation ?? 1) + (isNewSpec ? 1 : 0),
        resourceVersion: String(dryRun ? version : version + 1),
      },
    };
    if (dryRun) return next;
    version++;
    stored.set(keyOf(kind, object.metadata), { kind, object: next });
    tell({ version, kind, before, after: next });
    return next;
  }

  function tell(change: Change): void {
    history.push(change);
    const gone = history.splice(0, Math.max(0, history.length - window));
    oldest = gone.at(-1)?.version ?? oldest;
    objects.onChange(change);
  }

  function needNamespace(kind: Kind, namespace: string | undefined): void {
    if (!kind.namespaced) return;
    if (namespace === undefined) throw new Refusal(400, "BadRequest", "namespace is missing");
    if (namespace === "default" || namespaceKind === undefined) return;
    if (objects.get(namespaceKind, { name: namespace }) === undefined)
      throw notFound(namespaceKind, namespace);
  }
}

export function notFound(kind: Kind, name: string): Refusal {
  return new Refusal(404, "NotFound", `${resourceOf(kind)} "${name}" not found`);
}

/** `deployments.apps`. */
export function resourceOf({ apiVersion, plural }: Kind): string {
  return apiVersion.includes("/") ? `${plural}.${apiVersion.split("/")[0]}` : plural;
}

export function sameKind(left: Kind, right: Kind): boolean {
  return left.plural === right.plural && left.apiVersion === right.apiVersion;
}

function keyOf(kind: Kind, { namespace, name }: Place): string {
  return `${kind.apiVersion}/${kind.plural}/${kind.namespaced ? (namespace ?? "") : ""}/${name}`;
}

function checkVersion(kind: Kind, live: KubernetesObject, wanted: KubernetesObject): void {
  const { resourceVersion, uid } = wanted.metadata;
  const isOther =
    (resourceVersion !== undefined && resourceVersion !== live.metadata.resourceVersion) ||
    (uid !== undefined && uid !== live.metadata.uid);
  if (!isOther) return;
  throw new Refusal(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${resourceOf(kind)} "${live.metadata.name}": the object has been modified; please apply your changes to the latest version and try again`,
  );
}

/** Kubernetes counts the decoded values. */
function checkSize(object: KubernetesObject): void {
  if (object.kind !== "Secret" && object.kind !== "ConfigMap") return;
  const data = Object.values((object.data ?? {}) as Record<string, string>);
  const size = data.reduce(
    (sum, value) => sum + Buffer.from(value, object.kind === "Secret" ? "base64" : "utf8").length,
    0,
  );
  if (size > 1024 * 1024) {
    throw new Refusal(
      422,
      "Invalid",
      `${object.kind} "${object.metadata.name}" is invalid: data: Too long: may not be more than 1048576 bytes`,
    );
  }
}

function withoutStatus({ status: _given, ...object }: KubernetesObject): KubernetesObject {
  return object as KubernetesObject;
}

function contentOf({ metadata, ...rest }: KubernetesObject): unknown {
  const { resourceVersion: _1, generation: _2, managedFields = [], ...kept } = metadata;
  return {
    ...rest,
    metadata: { ...kept, managedFields: managedFields.map(({ time: _3, ...entry }) => entry) },
  };
}

function specOf({ metadata: _1, status: _2, ...rest }: KubernetesObject): unknown {
  return rest;
}
