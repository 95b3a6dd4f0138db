import type { ChangedSecret, SecretSummary, SecretVersion } from "./secret-state.ts";

/** Of the secrets that were used, those that have a newer version by now, or are gone. */
export function changedSecrets(
  used: readonly SecretVersion[],
  current: readonly SecretSummary[],
): readonly ChangedSecret[] {
  return used.flatMap(({ group, name, version }): ChangedSecret[] => {
    if (version === 0) return []; // Made by hand in a cluster: it has no versions.
    const now = current.find((secret) => secret.group === group && secret.name === name);
    if (now === undefined) return [{ group, name, change: "deleted" }];
    return now.version === version ? [] : [{ group, name, change: "updated" }];
  });
}
