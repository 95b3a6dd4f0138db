/** Copies of a group's secrets in the namespaces of pipelines, where pods find them. */

import { isDeepStrictEqual } from "node:util";

import { Failure } from "../../../core/failure.ts";
import type { Cluster, KubernetesObject } from "../client/cluster.ts";
import { kinds } from "../client/kinds.ts";
import { at, fieldsOf, listAt, textAt } from "../client/objects.ts";
import { labelValue, secretCopyName } from "../manifests/names.ts";
import { annotations, labels } from "../vocabulary.ts";
import { clearData, type GroupSecret, groupSecretOf, holdsSame, rawDataOf, typeOf } from "./group-secret.ts";
import { told } from "./secret-access.ts";

/** On a copy: the namespace and the name of what it is a copy of. */
const copiedFrom = "bodywork.io/copied-from";

/** Whether we have made it as a copy. */
export function isCopy(object: KubernetesObject): boolean {
  return object.metadata.annotations?.[copiedFrom] !== undefined;
}

/** Neither parts of a commit, which are large, nor records. */
export const notOurs = `!${labels.part},!${labels.record}`;

export interface CopyPlan {
  readonly create: readonly KubernetesObject[];
  readonly replace: readonly KubernetesObject[];
  /** Of another type than their source, which no Secret can become. */
  readonly remake: readonly KubernetesObject[];
  readonly remove: readonly KubernetesObject[];
}

/** Carries out what `planCopies` says. Fails: cluster-refused (a name is taken), cluster-unreachable. */
export async function copySecrets(cluster: Cluster, wanted: WantedCopies): Promise<void> {
  const { namespace } = wanted;
  const doing = `copy the secrets of group=${wanted.group} to namespace=${namespace}`;
  const values = wanted.secrets.flatMap(({ data }) => Object.values(clearData(data)));
  await told(doing, values, async () => {
    const there = await cluster.list(kinds.secret, { namespace, labels: notOurs });
    const plan = planCopies(wanted, there, new Set(await secretsInUse(cluster, namespace)));
    for (const object of plan.create) await cluster.create(object);
    for (const object of plan.replace) await cluster.replace(object);
    for (const object of plan.remake) {
      await cluster.delete(kinds.secret, { namespace, name: object.metadata.name });
      await cluster.create(object);
    }
    for (const { metadata } of plan.remove) {
      await cluster.delete(kinds.secret, { namespace, name: metadata.name }, { uid: metadata.uid });
    }
  });
}

export interface WantedCopies {
  readonly group: string;
  readonly secrets: readonly GroupSecret[];
  /** Where they go. */
  readonly namespace: string;
  /** What a copy is called; as in the original by default: the secret's name without its group. */
  readonly nameOf?: (secret: GroupSecret) => string;
  /** Whether copies go whose source has gone. */
  readonly prune: boolean;
}

/**
 * `there`: all Secrets of the namespace. Replaced are our copies and those of the original, which have the label of their
 * group; never what a person has made. A copy whose source has gone goes, unless a service that runs still needs it:
 * without it no pod of that would start again. Fails: cluster-refused.
 */
export function planCopies(
  { group, secrets, namespace, nameOf = ({ summary }) => secretCopyName(summary.name), prune }: WantedCopies,
  there: readonly KubernetesObject[],
  inUse: ReadonlySet<string>,
): CopyPlan {
  const byName = new Map(there.map((object) => [object.metadata.name, object]));
  const pairs = secrets.flatMap((secret) => {
    const copy = copyOf(secret, nameOf(secret), namespace);
    const found = byName.get(copy.metadata.name);
    // Where the groups are in the same namespace, the secret itself is what pods find.
    return found?.metadata.uid === secret.object.metadata.uid && found !== undefined ? [] : [{ copy, found }];
  });
  const taken = pairs.filter(({ found }) => found !== undefined && !mayReplace(found, secrets));
  if (taken.length > 0)
    throw namesTaken(
      group,
      namespace,
      taken.map(({ copy }) => copy.metadata.name),
    );

  const sources = new Set(secrets.map(sourceOf));
  const different = pairs.flatMap(({ copy, found }) =>
    found === undefined || isSameCopy(copy, found) ? [] : [{ copy, found }],
  );
  const canStay = ({ copy, found }: (typeof different)[number]): boolean =>
    typeOf(copy) === typeOf(found) && found.immutable !== true;
  return {
    create: pairs.flatMap(({ copy, found }) => (found === undefined ? [copy] : [])),
    replace: different.filter(canStay).map(({ copy, found }) => over(found, copy)),
    remake: different.filter((pair) => !canStay(pair)).map(({ copy }) => copy),
    remove: prune
      ? there.filter(
          (object) =>
            isCopy(object) &&
            !sources.has(object.metadata.annotations?.[copiedFrom] ?? "") &&
            object.metadata.annotations?.[annotations.group] === group &&
            !inUse.has(object.metadata.name),
        )
      : [],
  };
}

function sourceOf({ object: { metadata } }: GroupSecret): string {
  return `${metadata.namespace ?? ""}/${metadata.name}`;
}

function copyOf(secret: GroupSecret, name: string, namespace: string): KubernetesObject {
  const { summary, object } = secret;
  const { group, version } = summary;
  return {
    apiVersion: "v1",
    kind: "Secret",
    type: typeOf(object),
    metadata: {
      name,
      namespace,
      labels: { [labels.group]: labelValue(group), [labels.managedBy]: labels.appValue },
      annotations: {
        [annotations.group]: group,
        [annotations.version]: String(version),
        [copiedFrom]: sourceOf(secret),
      },
    },
    data: rawDataOf(object),
  };
}

function mayReplace(found: KubernetesObject, secrets: readonly GroupSecret[]): boolean {
  if (isCopy(found)) return true;
  const { namespace, labels: marks } = found.metadata;
  const isHome = secrets.some(({ object }) => object.metadata.namespace === namespace);
  // Where the groups are, what looks like a copy of the original may be the secret of a group.
  return marks?.[labels.group] !== undefined && !(isHome && groupSecretOf(found) !== undefined);
}

function namesTaken(group: string, namespace: string, names: readonly string[]): Failure {
  return new Failure(
    "cluster-refused",
    `Cannot copy the secrets of group=${group} to namespace=${namespace}: Secrets of these names are there already, and Bodywork has not made them.`,
    {
      details: names,
      hint: `If the stages shall use the group's, delete them: kubectl delete secret --namespace ${namespace} ${names.join(" ")}. Else give those of the group other names.`,
    },
  );
}

function isSameCopy(copy: KubernetesObject, found: KubernetesObject): boolean {
  const marks = ({ metadata }: KubernetesObject): unknown => [
    metadata.labels?.[labels.group],
    metadata.annotations?.[annotations.group],
    metadata.annotations?.[annotations.version],
    metadata.annotations?.[copiedFrom],
  ];
  return holdsSame(copy, found) && isDeepStrictEqual(marks(copy), marks(found));
}

/** With what others have written on it, and its resourceVersion: who has changed it meanwhile is not overwritten. */
function over(found: KubernetesObject, copy: KubernetesObject): KubernetesObject {
  const { labels: foundLabels, annotations: foundAnnotations, ...metadata } = found.metadata;
  return {
    ...found,
    metadata: {
      ...metadata,
      labels: { ...foundLabels, ...copy.metadata.labels },
      annotations: { ...foundAnnotations, ...copy.metadata.annotations },
    },
    data: copy.data,
  };
}

/** Names of all Secrets that the namespace's Deployments mention. */
async function secretsInUse(cluster: Cluster, namespace: string): Promise<readonly string[]> {
  const deployments = await cluster.list(kinds.deployment, { namespace });
  return deployments.flatMap((deployment) => secretsNamedIn(at(deployment, "spec", "template", "spec")));
}

/** As environment variables, volumes and credentials for images name them. */
function secretsNamedIn(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(secretsNamedIn);
  const found = [
    textAt(value, "secretKeyRef", "name"),
    textAt(value, "secretRef", "name"),
    textAt(value, "secret", "secretName"),
    textAt(value, "secret", "name"),
    ...listAt(value, "imagePullSecrets").map((item) => textAt(item, "name")),
  ];
  return [...found.flatMap((name) => name ?? []), ...Object.values(fieldsOf(value)).flatMap(secretsNamedIn)];
}
