import { Failure } from "../../../core/failure.ts";
import { sanitisedName } from "../../../core/naming.ts";
import { dataProblems, groupProblems, nameProblems } from "../../../core/secret-problems.ts";
import { type SecretSummary, sshKeySecret } from "../../../core/secret-state.ts";
import type { SecretData, SecretValue } from "../../../core/secret-value.ts";
import type { Clock } from "../../../ports/clock.ts";
import type { SecretReader, Secrets } from "../../../ports/secrets.ts";
import type { Cluster } from "../client/cluster.ts";
import { kinds } from "../client/kinds.ts";
import { secretObjectName } from "../manifests/names.ts";
import { managementNamespace } from "../vocabulary.ts";
import { clearData } from "./group-secret.ts";
import { copySecrets, notOurs } from "./replicate.ts";
import { createSecretAccess, told } from "./secret-access.ts";
import { createSecretSnapshot } from "./secret-snapshot.ts";

/**
 * Groups of secrets in a cluster. The verbs act on the cluster; the port of secrets (`read`, `secrets`, `create`, …) is
 * over what `load` has read last, and what it changes is written behind the caller.
 */
export interface ClusterSecrets extends Secrets, SecretReader {
  /** Reads one group, or all; and, for its stages, what a person has made in the pipeline's namespace. */
  load(scope: {
    readonly group?: string | undefined;
    readonly namespace?: string | undefined;
  }): Promise<void>;
  /** What the port has changed is in the cluster. Fails: as the first change that could not be written. */
  settled(): Promise<void>;

  /** Fails: already-exists, usage (a name or key that can't be one). */
  createSecret(group: string, name: string, data: SecretData): Promise<SecretSummary>;
  /** Keys that are not given stay as they are. Fails: not-found, usage. */
  updateSecret(group: string, name: string, data: SecretData): Promise<SecretSummary>;
  deleteSecret(group: string, name: string): Promise<{ readonly found: boolean }>;
  /** Returns the names of the secrets it had. */
  deleteSecretGroup(group: string): Promise<readonly string[]>;
  readSecrets(filter: {
    readonly group: string;
    readonly name?: string | undefined;
  }): Promise<readonly (SecretSummary & { readonly data: SecretData })[]>;
  /** Names, keys and versions, by group and name. */
  list(filter: {
    readonly group?: string | undefined;
    readonly name?: string | undefined;
  }): Promise<readonly SecretSummary[]>;

  /** Whether the group keeps a key for private repositories. */
  hasSshKey(group: string): Promise<boolean>;
  /** As `keepSshKey` of the operations, but on return it is in the cluster. */
  keepSshKey(group: string, key: SecretValue): Promise<void>;

  /**
   * Makes the copies of a group in a pipeline's namespace what the group is now, after all that was changed before.
   * Returns how many secrets the group has. Fails: cluster-refused (a person's secret has the name).
   */
  replicate(group: string, namespace: string): Promise<number>;
  /** Copies one secret under its full name, GROUP-NAME: what the engine's own parts in a pod need. Fails: secret-missing. */
  copyOne(group: string, name: string, namespace: string): Promise<void>;
}

export function createClusterSecrets({
  cluster,
  clock,
  namespace: home = managementNamespace,
}: {
  readonly cluster: Cluster;
  readonly clock: Pick<Clock, "now">;
  /** Where the groups are. */
  readonly namespace?: string;
}): ClusterSecrets {
  const access = createSecretAccess(cluster, home);
  const snapshot = createSecretSnapshot(access, () => clock.now());
  return {
    ...snapshot,
    async load({ group, namespace }) {
      // What is not written yet would be missing.
      await snapshot.settled();
      const [secrets, objects] = await Promise.all([
        access.list({ group }),
        namespace === undefined
          ? undefined
          : told(`list the secrets in namespace=${namespace}`, [], () =>
              cluster.list(kinds.secret, { namespace, labels: notOurs }),
            ),
      ]);
      snapshot.replaceGroups(secrets, group);
      if (objects !== undefined) snapshot.replaceNamespace(objects);
    },

    async createSecret(group, name, data) {
      refuseProblems("create", group, name, [...nameProblems(group, name), ...dataProblems(data)]);
      return (await access.create(group, sanitisedName(name), data)).summary;
    },
    async updateSecret(group, name, data) {
      refuseProblems("update", group, name, nameProblems(group, name));
      const found = await access.find(group, sanitisedName(name));
      refuseProblems("update", group, name, dataProblems(data, found?.summary.keys));
      return (await access.update(group, sanitisedName(name), data)).summary;
    },
    async deleteSecret(group, name) {
      refuseProblems("delete", group, name, nameProblems(group, name));
      return { found: await access.remove(group, sanitisedName(name)) };
    },
    async deleteSecretGroup(group) {
      refuse(`Cannot delete the secrets of group=${group}.`, groupProblems(group));
      const removed: string[] = [];
      for (const { summary } of await access.list({ group })) {
        if (await access.remove(group, summary.name)) removed.push(summary.name);
      }
      return removed;
    },
    async readSecrets({ group, name }) {
      const found = await access.list({ group, name: name === undefined ? undefined : sanitisedName(name) });
      return found.map(({ summary, data }) => ({ ...summary, data: clearData(data) }));
    },
    async list({ group, name }) {
      return (await access.list({ group, name })).map(({ summary }) => summary);
    },

    async hasSshKey(group) {
      const found = await access.find(group, sshKeySecret.name);
      return found !== undefined && Object.hasOwn(found.data, sshKeySecret.key);
    },
    async keepSshKey(group, key) {
      const found = await access.find(group, sshKeySecret.name);
      const data = { [sshKeySecret.key]: key };
      if (found === undefined) await access.create(group, sshKeySecret.name, data);
      else if (clearData(found.data)[sshKeySecret.key]?.reveal() !== key.reveal()) {
        await access.update(group, sshKeySecret.name, data);
      }
    },

    async replicate(group, namespace) {
      await snapshot.settled();
      const secrets = await access.list({ group });
      await copySecrets(cluster, { group, secrets, namespace, prune: true });
      return secrets.length;
    },
    async copyOne(group, name, namespace) {
      await snapshot.settled();
      const secret = await access.find(group, sanitisedName(name));
      if (secret === undefined) {
        throw new Failure(
          "secret-missing",
          `Cannot find secret=${name} in group=${group}, which namespace=${namespace} needs.`,
          {
            hint: `To create it: bodywork create secret ${name} --group ${group}`,
          },
        );
      }
      const nameOf = (): string => secretObjectName(group, name);
      await copySecrets(cluster, { group, secrets: [secret], namespace, nameOf, prune: false });
    },
  };
}

function refuseProblems(verb: string, group: string, name: string, problems: readonly string[]): void {
  refuse(`Cannot ${verb} secret=${name} in group=${group}.`, problems);
}

function refuse(cannot: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new Failure("usage", cannot, { details: problems });
}
