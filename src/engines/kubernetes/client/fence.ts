import type { Cluster } from "./cluster.ts";

/**
 * The same cluster, which takes no more changes once the fence is up: every one of them fails with that. `check` is called
 * before each, for after a long stop the timers that would put the fence up come late.
 */
export function fencedCluster(cluster: Cluster): {
  readonly cluster: Cluster;
  fence(why: Error): void;
  checkWith(check: () => void): void;
} {
  let fence: Error | undefined;
  let check = (): void => {};
  const open = (): void => {
    check();
    if (fence !== undefined) throw fence;
  };
  return {
    fence(why) {
      fence ??= why;
    },
    checkWith(given) {
      check = given;
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
