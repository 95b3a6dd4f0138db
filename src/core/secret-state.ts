/**
 * What may be known of secrets by anybody: names, keys and versions, never a value. Stored, sent and printed as they are:
 * add fields, never rename them.
 */

/** The name under which a group keeps the ssh key for its private repositories, and the key in that secret. */
export const sshKeySecret = { name: "ssh-git-private-key", key: "BODYWORK_GIT_SSH_PRIVATE_KEY" } as const;

/** One version of a secret. A version never changes: what is running keeps the values it was started with. */
export interface SecretVersion {
  readonly group: string;
  readonly name: string;
  /** From 1; each `update secret` makes the next. */
  readonly version: number;
}

/** Where a stage's variable has its value from. */
export interface SecretReference extends SecretVersion {
  readonly key: string;
}

/** A secret as `get secrets` lists it: its newest version. */
export interface SecretSummary extends SecretVersion {
  /** Sorted. */
  readonly keys: readonly string[];
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** A secret that is no longer what a release was started with. */
export interface ChangedSecret {
  readonly group: string;
  readonly name: string;
  readonly change: "updated" | "deleted";
}
