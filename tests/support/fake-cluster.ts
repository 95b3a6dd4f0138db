import { isDeepStrictEqual } from "node:util";

import {
  type Cluster,
  ClusterError,
  type Kind,
  type KubernetesObject,
  type LogOptions,
  type ObjectMetadata,
  type Place,
  type Selection,
  type WatchEvent,
} from "../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../src/engines/kubernetes/client/kinds.ts";
import { at } from "../../src/engines/kubernetes/client/objects.ts";
import { managementNamespace } from "../../src/engines/kubernetes/vocabulary.ts";

export type Verb = "get" | "list" | "create" | "apply" | "replace" | "merge" | "delete" | "watch" | "logs";

/** One call, as a hook is told of it. `name` is empty for a list and a watch. */
export interface Call {
  readonly verb: Verb;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly dryRun: boolean;
}

/**
 * An API server in memory, as far as its clients can tell: resourceVersions and their preconditions, uids,
 * generations, selectors, watches, deletion of dependents and of a namespace's contents, limits of Secrets.
 * No controller acts on what it holds: a test plays these with `put`. Not modelled: ownership of single
 * fields; an apply is the object merged over what is there, without the fields that the apply before it had.
 */
export interface FakeCluster extends Cluster {
  /** All calls so far: `create Secret bodywork-deployment-jobs/name`. */
  readonly calls: string[];
  /** Before a call does anything: it may wait, or throw a ClusterError. */
  before: ((call: Call) => void | Promise<void>) | undefined;
  /** After a call that changed something has done so, before its answer is given. */
  after: ((call: Call) => void | Promise<void>) | undefined;
  /** All of a kind, by namespace and name; copies. */
  objects(kind: Kind, namespace?: string): readonly KubernetesObject[];
  /** Makes or changes the object as somebody else would (a controller, kubectl), without any precondition. */
  put(object: KubernetesObject): KubernetesObject;
  /** As somebody else would. */
  remove(kind: Kind, place: Place): void;
  /** What `logs` gives for the pod. */
  setLog(pod: Required<Place>, text: string): void;
  /** Kinds that are not served; set before use. */
  readonly unserved: Set<string>;
  /** What `may` answers; true for all by default. */
  allowed: (verb: string, kind: Kind, namespace?: string) => boolean;
  /** What is stored now; another cluster can begin with it. */
  dump(): readonly KubernetesObject[];
}

export function fakeCluster(start: { readonly objects?: readonly KubernetesObject[] } = {}): FakeCluster {
  const stored = new Map<string, KubernetesObject>();
  /** The last object of each `apply`. */
  const applied = new Map<string, KubernetesObject>();
  const watchers = new Set<(event: WatchEvent, kind: string) => void>();
  const logTexts = new Map<string, string>();
  let version = 1000;

  const cluster: FakeCluster = {
    server: "https://fake.invalid:6443",
    context: "fake",
    calls: [],
    before: undefined,
    after: undefined,
    unserved: new Set(),
    allowed: () => true,

    async get(kind, place) {
      await begin("get", kind.kind, place);
      return copy(stored.get(keyOf(kind.kind, place)));
    },
    async list(kind, selection = {}) {
      await begin("list", kind.kind, { namespace: selection.namespace, name: "" });
      return found(kind.kind, selection);
    },
    async create(object) {
      const call = await begin("create", object.kind, object.metadata);
      refuseBad(object);
      if (stored.has(keyOf(object.kind, object.metadata))) {
        throw new ClusterError("already-exists", `${described(object)} already exists`, { status: 409 });
      }
      return end(call, write(object));
    },
    async apply(object, options = {}) {
      const call = await begin("apply", object.kind, object.metadata, options.dryRun);
      refuseBad(object);
      const key = keyOf(object.kind, object.metadata);
      const former = applied.get(key);
      const base = former === undefined ? stored.get(key) : without(stored.get(key), former);
      const next = mergePatch(base ?? {}, object, true) as KubernetesObject;
      if (options.dryRun === true) return next;
      applied.set(key, object);
      return end(call, write(next));
    },
    async replace(object) {
      const call = await begin("replace", object.kind, object.metadata);
      refuseBad(object);
      const before = existing(object.kind, object.metadata);
      const wanted = object.metadata.resourceVersion;
      if (wanted !== undefined && wanted !== before.metadata.resourceVersion) throw conflict(object);
      if (before.immutable === true && !isDeepStrictEqual(before.data, object.data)) {
        throw new ClusterError("invalid", `${described(object)} is invalid: data: field is immutable`, {
          status: 422,
        });
      }
      return end(call, write(object));
    },
    async merge(kind, place, patch) {
      const call = await begin("merge", kind.kind, place);
      const before = existing(kind.kind, place);
      const wanted = at(patch, "metadata", "resourceVersion");
      if (wanted !== undefined && wanted !== before.metadata.resourceVersion) throw conflict(before);
      return end(call, write(mergePatch(before, patch, false) as KubernetesObject));
    },
    async delete(kind, place, options = {}) {
      const call = await begin("delete", kind.kind, place);
      const before = stored.get(keyOf(kind.kind, place));
      if (before === undefined) return false;
      if (options.uid !== undefined && options.uid !== before.metadata.uid) return false;
      drop(before);
      return end(call, true);
    },
    async *watch(kind, selection, signal) {
      await begin("watch", kind.kind, { namespace: selection.namespace, name: "" });
      const waiting: WatchEvent[] = [{ type: "listed", objects: found(kind.kind, selection) }];
      let wake = (): void => {};
      const watcher = (event: WatchEvent, of: string): void => {
        if (of !== kind.kind || event.type === "listed" || !matches(event.object, selection)) return;
        waiting.push(event);
        wake();
      };
      const stop = (): void => wake();
      watchers.add(watcher);
      signal.addEventListener("abort", stop);
      try {
        while (!signal.aborted) {
          const event = waiting.shift();
          if (event !== undefined) yield event;
          else await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        watchers.delete(watcher);
        signal.removeEventListener("abort", stop);
      }
    },
    async *logs(pod: Required<Place>, options: LogOptions) {
      await begin("logs", "Pod", pod);
      const text = logTexts.get(keyOf("Pod", pod)) ?? "";
      const lines = text.split(/(?<=\n)/);
      yield options.tail === undefined ? text : lines.slice(-options.tail).join("");
    },
    has: async (kind) => !cluster.unserved.has(kind.kind),
    may: async (verb, kind, namespace) => cluster.allowed(verb, kind, namespace),
    version: async () => "v1.34.4",
    close() {},

    objects: (kind, namespace) => found(kind.kind, { namespace }),
    put: (object) => write(object),
    remove(kind, place) {
      const object = stored.get(keyOf(kind.kind, place));
      if (object !== undefined) drop(object);
    },
    setLog(pod, text) {
      logTexts.set(keyOf("Pod", pod), text);
    },
    dump: () => [...stored.values()].map(copy),
  };

  for (const name of [managementNamespace, "default"]) write(namespaceObject(name));
  for (const object of start.objects ?? []) {
    stored.set(keyOf(object.kind, object.metadata), copy(object));
    version = Math.max(version, Number(object.metadata.resourceVersion ?? 0));
  }
  return cluster;

  async function begin(verb: Verb, kind: string, place: Place, dryRun = false): Promise<Call> {
    const call = { verb, kind, namespace: place.namespace ?? "", name: place.name, dryRun };
    cluster.calls.push(`${verb} ${kind} ${[call.namespace, call.name].filter(Boolean).join("/")}`.trim());
    await cluster.before?.(call);
    return call;
  }

  async function end<Answer>(call: Call, answer: Answer): Promise<Answer> {
    await cluster.after?.(call);
    return answer;
  }

  function existing(kind: string, place: Place): KubernetesObject {
    const object = stored.get(keyOf(kind, place));
    if (object !== undefined) return object;
    throw new ClusterError("not-found", `${kind} "${place.name}" not found`, { status: 404 });
  }

  function refuseBad(object: KubernetesObject): void {
    const { namespace, name } = object.metadata;
    if (!/^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/.test(name.replaceAll(":", "")) || name.length > 253) {
      throw new ClusterError("invalid", `${described(object)} is invalid: metadata.name`, { status: 422 });
    }
    for (const [key, value] of Object.entries(object.metadata.labels ?? {})) {
      if (/^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/.test(value)) continue;
      throw new ClusterError("invalid", `${described(object)} is invalid: label ${key}: ${value}`, {
        status: 422,
      });
    }
    if (namespace !== undefined && !stored.has(keyOf("Namespace", { name: namespace }))) {
      throw new ClusterError("not-found", `namespaces "${namespace}" not found`, { status: 404 });
    }
    const bytes = Object.values(object.kind === "Secret" ? (object.data ?? {}) : {}).reduce<number>(
      (sum, value) => sum + Buffer.byteLength(String(value), "base64"),
      0,
    );
    if (bytes > 1024 * 1024) {
      throw new ClusterError("invalid", `${described(object)} is invalid: data: Too long`, { status: 422 });
    }
  }

  /** Stores it with a new version, unless nothing changes by it. */
  function write(object: KubernetesObject): KubernetesObject {
    const key = keyOf(object.kind, object.metadata);
    const before = stored.get(key);
    const { resourceVersion: _, ...metadata } = object.metadata;
    const settled: KubernetesObject = {
      ...withData(copy(object)),
      metadata: {
        ...metadata,
        uid: before?.metadata.uid ?? metadata.uid ?? `uid-${version + 1}`,
        creationTimestamp:
          before?.metadata.creationTimestamp ?? metadata.creationTimestamp ?? "2026-11-25T12:00:00Z",
        generation: generationOf(object, before),
      },
    };
    if (before !== undefined && isDeepStrictEqual(versionless(before), settled)) return copy(before);
    version += 1;
    const next = {
      ...settled,
      metadata: { ...settled.metadata, resourceVersion: String(version) },
    };
    if (next.metadata.deletionTimestamp !== undefined && (next.metadata.finalizers ?? []).length === 0) {
      drop(next);
      return copy(next);
    }
    stored.set(key, next);
    tell({ type: "changed", object: copy(next) }, object.kind);
    return copy(next);
  }

  function drop(object: KubernetesObject): void {
    if ((object.metadata.finalizers ?? []).length > 0) {
      if (object.metadata.deletionTimestamp !== undefined) return;
      write({ ...object, metadata: { ...object.metadata, deletionTimestamp: "2026-11-25T12:00:00Z" } });
      return;
    }
    const key = keyOf(object.kind, object.metadata);
    stored.delete(key);
    applied.delete(key);
    version += 1;
    const last = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
    tell({ type: "gone", object: copy(last) }, object.kind);
    for (const other of [...stored.values()]) {
      const isDependent = (other.metadata.ownerReferences ?? []).some(
        ({ uid }) => uid === object.metadata.uid,
      );
      const isInside = object.kind === "Namespace" && other.metadata.namespace === object.metadata.name;
      if ((isDependent || isInside) && stored.has(keyOf(other.kind, other.metadata))) drop(other);
    }
  }

  function tell(event: WatchEvent, kind: string): void {
    for (const watcher of [...watchers]) watcher(event, kind);
  }

  function found(kind: string, selection: Selection): readonly KubernetesObject[] {
    return [...stored]
      .filter(([, object]) => object.kind === kind && matches(object, selection))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => copy(object));
  }
}

export function namespaceObject(name: string): KubernetesObject {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name } };
}

function keyOf(kind: string, { namespace, name }: Place): string {
  const isNamespaced = Object.values(kinds).find((known) => known.kind === kind)?.namespaced ?? true;
  return JSON.stringify([kind, isNamespaced ? (namespace ?? "") : "", name]);
}

function described({ kind, metadata }: KubernetesObject): string {
  return `${kind} "${metadata.name}"`;
}

function conflict(object: KubernetesObject): ClusterError {
  return new ClusterError(
    "conflict",
    `Operation cannot be fulfilled on ${described(object)}: the object has been modified`,
    { status: 409 },
  );
}

function copy<T>(value: T): T {
  return structuredClone(value);
}

function versionless(object: KubernetesObject): KubernetesObject {
  const { resourceVersion: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

function generationOf(object: KubernetesObject, before: KubernetesObject | undefined): number {
  const last = before?.metadata.generation ?? 0;
  return before !== undefined && isDeepStrictEqual(before.spec, object.spec) ? last : last + 1;
}

/** A Secret's `stringData` is `data` once it is stored. */
function withData(object: KubernetesObject): KubernetesObject {
  if (object.kind !== "Secret" || object.stringData === undefined) return object;
  const { stringData, ...rest } = object;
  const added = Object.entries(stringData as Record<string, string>).map(([key, value]) => [
    key,
    Buffer.from(value).toString("base64"),
  ]);
  return { ...rest, data: { ...(rest.data as object | undefined), ...Object.fromEntries(added) } } as never;
}

/** RFC 7386; for an apply a null is left out as well, and there are no other nulls. */
function mergePatch(target: unknown, patch: unknown, isApply: boolean): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return copy(patch);
  const isMap = typeof target === "object" && target !== null && !Array.isArray(target);
  const merged: Record<string, unknown> = isMap ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || (isApply && value === undefined)) delete merged[key];
    else merged[key] = mergePatch(merged[key], value, isApply);
  }
  return merged;
}

/** What is there without the fields of the former apply. */
function without(target: unknown, former: unknown): KubernetesObject | undefined {
  if (typeof target !== "object" || target === null) return undefined;
  const left: Record<string, unknown> = { ...target };
  for (const [key, value] of Object.entries(former as object)) {
    if (typeof value === "object" && value !== null && !Array.isArray(value) && key in left) {
      left[key] = without(left[key], value);
    } else if (!["name", "namespace", "kind", "apiVersion"].includes(key)) {
      delete left[key];
    }
  }
  return left as unknown as KubernetesObject;
}

function matches(object: KubernetesObject, { namespace, labels, fields }: Selection): boolean {
  const { metadata } = object;
  if (namespace !== undefined && metadata.namespace !== namespace) return false;
  const isField = (term: string): boolean => {
    const [, path = "", operator, value = ""] = /^([^=!]+)(!=|==?)(.*)$/.exec(term) ?? [];
    return (String(at(object, ...path.split(".")) ?? "") === value) === (operator !== "!=");
  };
  return (
    terms(labels).every((term) => isLabelled(metadata, term)) && terms(fields).every((term) => isField(term))
  );
}

function terms(selector: string | undefined): readonly string[] {
  if (selector === undefined || selector === "") return [];
  return selector.split(/,(?![^(]*\))/).map((term) => term.trim());
}

/** `a=b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`. */
function isLabelled(metadata: ObjectMetadata, term: string): boolean {
  const value = (key: string): string | undefined => metadata.labels?.[key];
  const ofSet = /^(\S+)\s+(in|notin)\s*\((.*)\)$/.exec(term);
  if (ofSet !== null) {
    const [, key = "", operator, list = ""] = ofSet;
    const isIn = list.split(",").some((item) => item.trim() === value(key));
    return isIn === (operator === "in");
  }
  const equality = /^([^=!]+)(!=|==?)(.*)$/.exec(term);
  if (equality !== null) {
    const [, key = "", operator, wanted = ""] = equality;
    return (value(key) === wanted) === (operator !== "!=");
  }
  return term.startsWith("!") ? value(term.slice(1)) === undefined : value(term) !== undefined;
}
