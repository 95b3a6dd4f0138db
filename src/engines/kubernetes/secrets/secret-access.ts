import { Failure } from "../../../core/failure.ts";
import { createMask } from "../../../core/mask.ts";
import type { SecretData, SecretValue } from "../../../core/secret-value.ts";
import { type Cluster, ClusterError, type KubernetesObject } from "../client/cluster.ts";
import { kinds } from "../client/kinds.ts";
import { clusterFailure } from "../client/to-failure.ts";
import { labelValue, secretObjectName } from "../manifests/names.ts";
import { labels } from "../vocabulary.ts";
import {
  changedSecretObject,
  type GroupSecret,
  groupSecretObject,
  groupSecretOf,
  rawData,
} from "./group-secret.ts";

/** Secrets of groups in the cluster itself. No failure has a value in it. */
export interface SecretAccess {
  /** By group and name. */
  list(filter: {
    readonly group?: string | undefined;
    readonly name?: string | undefined;
  }): Promise<readonly GroupSecret[]>;
  find(group: string, name: string): Promise<GroupSecret | undefined>;
  /** Fails: already-exists. */
  create(group: string, name: string, data: SecretData): Promise<GroupSecret>;
  /** Keys that are not given stay as they are. Fails: not-found. */
  update(group: string, name: string, data: SecretData): Promise<GroupSecret>;
  /** False when there was none. */
  remove(group: string, name: string): Promise<boolean>;
}

/** How often a change is tried that another one has overtaken. */
const mostTries = 5;

export function createSecretAccess(cluster: Cluster, namespace: string): SecretAccess {
  const access: SecretAccess = {
    async list({ group, name }) {
      const selector = group === undefined ? labels.group : `${labels.group}=${labelValue(group)}`;
      const objects = await told("list the secrets", [], () =>
        cluster.list(kinds.secret, { namespace, labels: selector }),
      );
      return objects
        .flatMap((object) => groupSecretOf(object) ?? [])
        .filter(
          ({ summary }) =>
            (group ?? summary.group) === summary.group && (name ?? summary.name) === summary.name,
        )
        .sort((one, other) => compareNames(one, other));
    },
    async find(group, name) {
      const object = await told(`read secret=${name} in group=${group}`, [], () =>
        cluster.get(kinds.secret, { namespace, name: secretObjectName(group, name) }),
      );
      return object && ofThatName(object, group, name);
    },
    async create(group, name, data) {
      const doing = `create secret=${name} in group=${group}`;
      const object = groupSecretObject({ group, name, version: 1 }, rawData(data), namespace);
      try {
        return asGroupSecret(await cluster.create(object));
      } catch (error) {
        if (!(error instanceof ClusterError)) throw error;
        if (error.kind === "already-exists") throw await alreadyThere(group, name);
        throw error.kind === "not-found"
          ? noNamespace(doing, namespace)
          : withoutValues(clusterFailure(error, doing), Object.values(data));
      }
    },
    async update(group, name, data) {
      for (let tries = 1; ; tries += 1) {
        const before = await access.find(group, name);
        if (before === undefined) throw notThere(group, name);
        const object = changedSecretObject(before, { ...before.data, ...rawData(data) });
        try {
          return asGroupSecret(await cluster.replace(object));
        } catch (error) {
          const isOvertaken = error instanceof ClusterError && /^(?:conflict|not-found)$/.test(error.kind);
          if (isOvertaken && tries < mostTries) continue;
          throw withoutValues(
            clusterFailure(error, `update secret=${name} in group=${group}`),
            Object.values(data),
          );
        }
      }
    },
    async remove(group, name) {
      const found = await access.find(group, name);
      if (found === undefined) return false;
      const { uid } = found.object.metadata;
      return told(`delete secret=${name} in group=${group}`, [], () =>
        cluster.delete(kinds.secret, { namespace, name: found.object.metadata.name }, { uid }),
      );
    },
  };
  return access;

  async function alreadyThere(group: string, name: string): Promise<Failure> {
    const objectName = secretObjectName(group, name);
    const object = await cluster.get(kinds.secret, { namespace, name: objectName }).catch(() => undefined);
    if (object !== undefined && ofThatName(object, group, name) === undefined) {
      const other = groupSecretOf(object)?.summary;
      const owner =
        other === undefined ? "no secret of a group" : `secret=${other.name} in group=${other.group}`;
      return new Failure(
        "already-exists",
        `Cannot create secret=${name} in group=${group}: the Secret ${objectName} in namespace=${namespace} is there already, and is ${owner}.`,
        { hint: "Choose another name or another group: the cluster calls a secret GROUP-NAME." },
      );
    }
    return new Failure(
      "already-exists",
      `Cannot create secret=${name} in group=${group} as it already exists.`,
      {
        hint: "To change it: bodywork update secret",
      },
    );
  }
}

function asGroupSecret(object: KubernetesObject): GroupSecret {
  const secret = groupSecretOf(object);
  if (secret === undefined)
    throw new Error(`The cluster changed the names of the Secret ${object.metadata.name}`);
  return secret;
}

function ofThatName(object: KubernetesObject, group: string, name: string): GroupSecret | undefined {
  const secret = groupSecretOf(object);
  return secret?.summary.group === group && secret.summary.name === name ? secret : undefined;
}

function compareNames({ summary: one }: GroupSecret, { summary: other }: GroupSecret): number {
  if (one.group !== other.group) return one.group < other.group ? -1 : 1;
  return one.name < other.name ? -1 : 1;
}

function notThere(group: string, name: string): Failure {
  return new Failure("not-found", `Could not find secret=${name} in group=${group}`, {
    hint: "To create it: bodywork create secret",
  });
}

function noNamespace(doing: string, namespace: string): Failure {
  return new Failure("not-found", `Cannot ${doing}: Could not find namespace=${namespace} on k8s cluster.`, {
    hint: "Run: bodywork configure-cluster",
  });
}

/** What the cluster answers may repeat what it was sent: `values` are not in the failure. */
export async function told<T>(
  doing: string,
  values: readonly SecretValue[],
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw withoutValues(clusterFailure(error, doing), values);
  }
}

function withoutValues({ code, message, details, hint }: Failure, values: readonly SecretValue[]): Failure {
  const mask = createMask(values);
  // Its cause would have the text as it was.
  return new Failure(code, mask(message), { details: details.map(mask), hint });
}
