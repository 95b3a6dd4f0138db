import { fieldManager } from "../vocabulary.ts";
import { ClusterError, type KubernetesObject } from "./cluster.ts";
import { doing, jsonBody, kindOf, objectPath, placeOf } from "./paths.ts";
import type { Requests } from "./requests.ts";
import { conflictOwners, mayTakeOver, takenOver } from "./take-over.ts";

export interface ApplyOptions {
  readonly dryRun?: boolean;
  readonly onTakeOver?: (manager: string) => void;
}

/** Server-side apply, as `Cluster.apply` says. */
export async function applyObject(
  requests: Requests,
  object: KubernetesObject,
  { dryRun = false, onTakeOver }: ApplyOptions,
): Promise<KubernetesObject> {
  try {
    return await applyOnce(requests, object, dryRun, false);
  } catch (error) {
    if (!(error instanceof ClusterError) || error.kind !== "conflict") throw error;
    if (!(await takeOver(requests, object, error, dryRun))) throw error;
    for (const owner of conflictOwners(error)) onTakeOver?.(owner);
    // What is only tried takes nothing over: forced, it gives what it would come to.
    return applyOnce(requests, object, dryRun, dryRun);
  }
}

/** Somebody else may change the object between our look and our write. */
const mostTries = 5;

/** False when the fields are not the original's, or the object is gone. */
async function takeOver(
  requests: Requests,
  object: KubernetesObject,
  conflict: ClusterError,
  dryRun: boolean,
): Promise<boolean> {
  const kind = kindOf(object);
  const path = objectPath(kind, placeOf(object));
  const { namespace } = object.metadata;
  for (let tries = 1; ; tries++) {
    const found = await requests.reply({ method: "GET", path, doing: doing("get", kind, namespace) });
    if ("error" in found) return false;
    const live = found.value as KubernetesObject;
    if (!mayTakeOver(live, conflict)) return false;
    if (dryRun) return true;
    const { managedFields = [], resourceVersion } = live.metadata;
    const patch = [
      { op: "replace", path: "/metadata/managedFields", value: takenOver(managedFields) },
      { op: "replace", path: "/metadata/resourceVersion", value: resourceVersion },
    ];
    const body = jsonBody(patch, "application/json-patch+json");
    const written = await requests.reply({
      method: "PATCH",
      path: objectPath(kind, placeOf(object), { fieldManager }),
      body,
      doing: doing("patch", kind, namespace),
    });
    if (!("error" in written)) return true;
    if (written.error.kind !== "conflict" || tries === mostTries) throw written.error;
  }
}

async function applyOnce(
  requests: Requests,
  object: KubernetesObject,
  dryRun: boolean,
  force: boolean,
): Promise<KubernetesObject> {
  const kind = kindOf(object);
  const { managedFields: _read, ...metadata } = object.metadata;
  const query = { fieldManager, force, dryRun: dryRun ? "All" : undefined };
  return (await requests.json({
    method: "PATCH",
    path: objectPath(kind, placeOf(object), query),
    // JSON is YAML.
    body: jsonBody({ ...object, metadata }, "application/apply-patch+yaml"),
    doing: doing("patch", kind, metadata.namespace),
  })) as KubernetesObject;
}
