import type { Cluster } from "./cluster.ts";

/** The same cluster, which takes no more changes once the fence is up: every one of them fails with that. */
export function fencedCluster(cluster: Cluster): { readonly cluster: Cluster; fence(why: Error): void } {
  let fence: Error | undefined;
  const open = (): void => {
    if (fence !== undefined) throw fence;
  };
  return {
    fence(why) {
      fence ??= why;
    },
    cluster: {
      ...cluster,
      async create(object) {
        open();
        return cluster.create(object);
      },
      async apply(object, options) {
        if (options?.dryRun !== true) open();
        return cluster.apply(object, options);
      },
      async replace(object) {
        open();
        return cluster.replace(object);
      },
      async merge(kind, place, patch) {
        open();
        return cluster.merge(kind, place, patch);
      },
      async delete(kind, place, options) {
        open();
        return cluster.delete(kind, place, options);
      },
    },
  };
}
