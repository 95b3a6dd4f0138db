import { ClusterError, type Kind, type KubernetesObject, type Selection } from "./cluster.ts";
import { fieldsOf, listAt, textAt } from "./objects.ts";
import { collectionPath, doing, selectionQuery } from "./paths.ts";
import type { Requests } from "./requests.ts";

export interface Listed {
  readonly objects: readonly KubernetesObject[];
  /** Where a watch goes on from. */
  readonly resourceVersion: string;
}

const pageSize = 500;
/** Lists that grew too old between two pages; the next one is asked for whole. */
const mostRestarts = 2;

/** In pages; begun anew when the server no longer knows what the first page was of (410). Fails: ClusterError. */
export async function listAll(
  requests: Requests,
  kind: Kind,
  selection: Selection,
  signal?: AbortSignal,
): Promise<Listed> {
  for (let restarts = 0; ; restarts++) {
    try {
      return await listOnce(
        requests,
        kind,
        selection,
        restarts < mostRestarts ? pageSize : undefined,
        signal,
      );
    } catch (error) {
      const isTooOld = error instanceof ClusterError && error.kind === "gone";
      if (!isTooOld || restarts > mostRestarts) throw error;
    }
  }
}

async function listOnce(
  requests: Requests,
  kind: Kind,
  selection: Selection,
  limit: number | undefined,
  signal: AbortSignal | undefined,
): Promise<Listed> {
  const objects: KubernetesObject[] = [];
  let next: string | undefined;
  for (;;) {
    const query = { ...selectionQuery(selection), limit, continue: next };
    const page = await requests.json({
      method: "GET",
      path: collectionPath(kind, selection.namespace, query),
      doing: doing("list", kind, selection.namespace),
      signal,
    });
    for (const item of listAt(page, "items")) objects.push(typed(kind, item));
    next = textAt(page, "metadata", "continue") || undefined;
    if (next === undefined)
      return { objects, resourceVersion: textAt(page, "metadata", "resourceVersion") ?? "" };
  }
}

/** Items of a list do not say what they are. */
function typed({ apiVersion, kind }: Kind, item: unknown): KubernetesObject {
  return { apiVersion, kind, ...fieldsOf(item) } as unknown as KubernetesObject;
}
