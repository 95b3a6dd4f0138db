/**
 * Who owns which fields of an object, as the scripted API server keeps it: managedFields in the form of Kubernetes, with
 * one simplification: only lists whose items have a `name` each are merged item by item, all others are one value.
 */

import { isDeepStrictEqual } from "node:util";
import type { KubernetesObject, ManagedFields } from "../../src/engines/kubernetes/client/cluster.ts";

type Tree = { readonly [name: string]: Tree };
type Value = Record<string, unknown>;
/** `["f:spec", "f:containers", 'k:{"name":"a"}', "f:image"]`, as JSON. */
type Leaf = string;

export interface Conflict {
  readonly manager: string;
  readonly apiVersion: string;
  /** `.spec.replicas`. */
  readonly field: string;
}

/** An object after a create or an update: what it changed is the manager's now, and nobody else's. */
export function ownedAfterUpdate(
  before: KubernetesObject | undefined,
  after: KubernetesObject,
  manager: string,
): KubernetesObject {
  const old = before === undefined ? new Map<Leaf, unknown>() : leavesOf(before);
  const now = leavesOf(after);
  const changed = [...now.keys()].filter(
    (leaf) => !old.has(leaf) || !isDeepStrictEqual(old.get(leaf), now.get(leaf)),
  );
  const entries = (after.metadata.managedFields ?? []).map((entry) => {
    const isTheirs = entry.manager === manager && entry.operation === "Update";
    const kept = ownedBy(entry).filter((leaf) => now.has(leaf) && (isTheirs || !changed.includes(leaf)));
    return { entry, leaves: new Set(isTheirs ? [...kept, ...changed] : kept) };
  });
  if (!entries.some(({ entry }) => entry.manager === manager && entry.operation === "Update")) {
    entries.push({ entry: newEntry(manager, "Update", after), leaves: new Set(changed) });
  }
  return withEntries(after, entries);
}

/** An apply: the object that it makes, or who is in the way. */
export function applied(
  live: KubernetesObject,
  wanted: KubernetesObject,
  manager: string,
  force: boolean,
): { readonly object: KubernetesObject } | { readonly conflicts: readonly Conflict[] } {
  const current = leavesOf(live);
  const asked = leavesOf(wanted);
  const isOurs = (entry: ManagedFields): boolean => entry.manager === manager && entry.operation === "Apply";
  const entries = live.metadata.managedFields ?? [];
  const changed = [...asked.keys()].filter((leaf) => !isDeepStrictEqual(current.get(leaf), asked.get(leaf)));
  const conflicts = entries
    .filter((entry) => !isOurs(entry))
    .flatMap((entry) =>
      ownedBy(entry)
        .filter((leaf) => changed.includes(leaf))
        .map((leaf) => ({
          manager: entry.manager,
          apiVersion: String(entry.apiVersion),
          field: fieldOf(leaf),
        })),
    );
  if (conflicts.length > 0 && !force) return { conflicts };
  const others = entries
    .filter((entry) => !isOurs(entry))
    .map((entry) => ({ entry, leaves: new Set(ownedBy(entry).filter((leaf) => !changed.includes(leaf))) }));
  const object = structuredClone(live) as unknown as Value;
  for (const leaf of entries.filter(isOurs).flatMap(ownedBy)) {
    if (!asked.has(leaf) && !others.some(({ leaves }) => leaves.has(leaf)))
      removeLeaf(object, segmentsOf(leaf));
  }
  for (const [leaf, value] of asked) setLeaf(object, segmentsOf(leaf), value);
  const ours = { entry: newEntry(manager, "Apply", wanted), leaves: new Set(asked.keys()) };
  return { object: withEntries(object as unknown as KubernetesObject, [ours, ...others]) };
}

function newEntry(
  manager: string,
  operation: "Apply" | "Update",
  { apiVersion }: KubernetesObject,
): ManagedFields {
  return { manager, operation, apiVersion, time: new Date().toISOString(), fieldsType: "FieldsV1" };
}

function withEntries(
  object: KubernetesObject,
  entries: readonly { readonly entry: ManagedFields; readonly leaves: ReadonlySet<Leaf> }[],
): KubernetesObject {
  const managedFields = entries
    .filter(({ leaves }) => leaves.size > 0)
    .map(({ entry, leaves }) => ({ ...entry, fieldsV1: treeOf(leaves) }));
  return { ...object, metadata: { ...object.metadata, managedFields } };
}

function ownedBy(entry: ManagedFields): readonly Leaf[] {
  return leavesOfTree((entry.fieldsV1 ?? {}) as Tree, []);
}

function leavesOfTree(tree: Tree, above: readonly string[]): readonly Leaf[] {
  return Object.entries(tree).flatMap(([name, below]) => {
    if (name === ".") return [];
    const path = [...above, name];
    return Object.keys(below).length === 0 ? [JSON.stringify(path)] : leavesOfTree(below, path);
  });
}

function treeOf(leaves: Iterable<Leaf>): Tree {
  const root: Record<string, unknown> = {};
  for (const leaf of leaves) {
    let at = root;
    for (const segment of segmentsOf(leaf)) {
      at[segment] ??= {};
      at = at[segment] as Record<string, unknown>;
    }
  }
  return root as Tree;
}

const ownedMetadata = ["labels", "annotations", "finalizers", "ownerReferences"];

/** What can be owned, with its value. */
function leavesOf({
  apiVersion: _1,
  kind: _2,
  metadata,
  status: _3,
  ...rest
}: KubernetesObject): Map<Leaf, unknown> {
  const owned = Object.entries(metadata).filter(
    ([name, value]) => ownedMetadata.includes(name) && !isEmpty(value),
  );
  const found = new Map<Leaf, unknown>();
  const visit = (value: unknown, path: readonly string[]): void => {
    if (isNamedList(value)) {
      for (const item of value) visit(item, [...path, `k:${JSON.stringify({ name: item.name })}`]);
    } else if (isMap(value) && Object.keys(value).length > 0) {
      for (const [name, below] of Object.entries(value)) visit(below, [...path, `f:${name}`]);
    } else if (value !== undefined && path.length > 0) {
      found.set(JSON.stringify(path), value);
    }
  };
  visit({ ...(owned.length > 0 ? { metadata: Object.fromEntries(owned) } : {}), ...rest }, []);
  return found;
}

function setLeaf(object: Value, [segment = "", ...below]: readonly string[], value: unknown): void {
  const name = segment.slice(2);
  if (below.length === 0) {
    object[name] = value;
    return;
  }
  const [next = ""] = below;
  if (!next.startsWith("k:")) {
    if (!isMap(object[name])) object[name] = {};
    setLeaf(object[name] as Value, below, value);
    return;
  }
  const list = (isNamedList(object[name]) ? object[name] : []) as Value[];
  object[name] = list;
  const key = JSON.parse(next.slice(2)) as { readonly name: string };
  const item = list.find((one) => one.name === key.name) ?? { name: key.name };
  if (!list.includes(item)) list.push(item);
  setLeaf(item, below.slice(1), value);
}

/** With what is left empty above it. */
function removeLeaf(object: Value, [segment = "", ...below]: readonly string[]): void {
  const name = segment.slice(2);
  const value = object[name];
  const [next = ""] = below;
  if (below.length === 0) {
    delete object[name];
  } else if (next.startsWith("k:") && isNamedList(value)) {
    const key = JSON.parse(next.slice(2)) as { readonly name: string };
    const item = value.find((one) => one.name === key.name);
    if (item !== undefined) removeLeaf(item, below.slice(1));
    const left = value.filter((one) => Object.keys(one).length > 0);
    if (left.length > 0) object[name] = left;
    else delete object[name];
  } else if (isMap(value)) {
    removeLeaf(value, below);
    if (isEmpty(value)) delete object[name];
  }
}

function segmentsOf(leaf: Leaf): readonly string[] {
  return JSON.parse(leaf) as readonly string[];
}

function fieldOf(leaf: Leaf): string {
  return segmentsOf(leaf)
    .map((segment) =>
      segment.startsWith("f:")
        ? `.${segment.slice(2)}`
        : `[name="${(JSON.parse(segment.slice(2)) as { name: string }).name}"]`,
    )
    .join("");
}

function isMap(value: unknown): value is Value {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function isNamedList(value: unknown): value is Value[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((item) => isMap(item) && typeof item.name === "string")
  );
}
