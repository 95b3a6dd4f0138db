import { labels } from "../vocabulary.ts";
import type { KubernetesObject } from "./cluster.ts";
import { collectionPath, doing, jsonBody, kindOf, objectPath, placeOf } from "./paths.ts";
import type { Requests } from "./requests.ts";

/**
 * Creates an object. When a try before was cut off and the next is told that it exists, the object may be our own: it is,
 * when it is of the same run, node and attempt, for those are made once. Fails: already-exists.
 */
export async function createObject(requests: Requests, object: KubernetesObject): Promise<KubernetesObject> {
  const kind = kindOf(object);
  const { namespace } = object.metadata;
  const created = await requests.reply({
    method: "POST",
    path: collectionPath(kind, namespace),
    body: jsonBody(object),
    doing: doing("create", kind, namespace),
  });
  if (!("error" in created)) return created.value as KubernetesObject;
  const { error, repeated } = created;
  if (error.kind !== "already-exists" || !repeated || identityOf(object) === undefined) throw error;
  const found = await requests.reply({
    method: "GET",
    path: objectPath(kind, placeOf(object)),
    doing: doing("get", kind, namespace),
  });
  if ("error" in found) throw error;
  const live = found.value as KubernetesObject;
  if (identityOf(live) !== identityOf(object) || live.metadata.deletionTimestamp !== undefined) throw error;
  return live;
}

/** Undefined for what is not made for one attempt of a run; others may make the same. */
function identityOf({ metadata }: KubernetesObject): string | undefined {
  const values = [labels.run, labels.node, labels.attempt].map((name) => metadata.labels?.[name]);
  return values.includes(undefined) ? undefined : values.join("/");
}
