import type { KubernetesEngineParts } from "../../src/engines/kubernetes/kubernetes-engine.ts";

/** The engine's documents in memory, as if they were in the cluster at once. */
export function memoryDocuments(): KubernetesEngineParts["store"] {
  const collections = new Map<string, Map<string, unknown>>();
  const of = (collection: string): Map<string, unknown> => {
    const found = collections.get(collection) ?? new Map<string, unknown>();
    collections.set(collection, found);
    return found;
  };
  return {
    document: <T>(collection: string, key: string) => of(collection).get(key) as T | undefined,
    documents: <T>(collection: string) => new Map(of(collection)) as ReadonlyMap<string, T>,
    saveDocument: (collection, key, value) => {
      of(collection).set(key, JSON.parse(JSON.stringify(value)));
    },
    removeDocument: (collection, key) => {
      of(collection).delete(key);
    },
    unfinishedRuns: () => [],
    settled: async () => {},
  };
}
