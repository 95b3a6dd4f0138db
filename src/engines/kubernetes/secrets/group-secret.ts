/** Secrets of groups as Kubernetes has them: GROUP-NAME in the management namespace. Pure. */

import { sanitisedName } from "../../../core/naming.ts";
import type { SecretSummary } from "../../../core/secret-state.ts";
import { type SecretData, SecretValue } from "../../../core/secret-value.ts";
import type { KubernetesObject } from "../client/cluster.ts";
import { at, fieldsOf, textAt } from "../client/objects.ts";
import { labelValue, secretObjectName } from "../manifests/names.ts";
import { annotations, labels } from "../vocabulary.ts";

/** Key → value in base64, as the API has it. Bytes of any kind come through unchanged. */
export type RawData = Readonly<Record<string, string>>;

export interface GroupSecret {
  readonly summary: SecretSummary;
  readonly data: RawData;
  readonly object: KubernetesObject;
}

/** The true name, where that of the object had to be made legal. */
const secretNameAnnotation = "bodywork.io/secret";

export function groupSecretObject(
  { group, name, version }: Pick<SecretSummary, "group" | "name" | "version">,
  data: RawData,
  namespace: string,
): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "Secret",
    type: "Opaque",
    metadata: {
      name: secretObjectName(group, name),
      namespace,
      labels: { [labels.group]: labelValue(group), [labels.managedBy]: labels.appValue },
      annotations: {
        [annotations.group]: group,
        [secretNameAnnotation]: name,
        [annotations.version]: String(version),
      },
    },
    data,
  };
}

/** The same object with other data, one version on. */
export function changedSecretObject({ summary, object }: GroupSecret, data: RawData): KubernetesObject {
  const { metadata } = object;
  const version = String(summary.version + 1);
  return {
    ...object,
    metadata: { ...metadata, annotations: { ...metadata.annotations, [annotations.version]: version } },
    data,
  };
}

/**
 * Undefined when it is of no group, or has another name than a secret of its group. Those that kubectl or the original has
 * made have no annotations: what they are called follows from label and name.
 */
export function groupSecretOf(object: KubernetesObject): GroupSecret | undefined {
  const { metadata } = object;
  const label = metadata.labels?.[labels.group];
  if (label === undefined) return undefined;
  const noted = metadata.annotations?.[annotations.group];
  const group = noted !== undefined && labelValue(noted) === label ? noted : label;
  const name = metadata.annotations?.[secretNameAnnotation] ?? nameBehind(group, metadata.name);
  if (name === undefined || secretObjectName(group, name) !== metadata.name) return undefined;
  return { summary: summaryOf(object, group, name), data: rawDataOf(object), object };
}

function nameBehind(group: string, objectName: string): string | undefined {
  const prefix = `${sanitisedName(group)}-`;
  return objectName.startsWith(prefix) ? objectName.slice(prefix.length) : undefined;
}

/** Of any Secret, as if it were called that. */
export function summaryOf(object: KubernetesObject, group: string, name: string): SecretSummary {
  const { metadata } = object;
  const created = millisecondsOf(metadata.creationTimestamp);
  const changes = (metadata.managedFields ?? []).map((fields) => millisecondsOf(textAt(fields, "time")));
  return {
    group,
    name,
    version: versionOf(metadata.annotations?.[annotations.version]),
    keys: Object.keys(rawDataOf(object)).toSorted(),
    createdAt: new Date(created).toISOString(),
    updatedAt: new Date(Math.max(created, ...changes)).toISOString(),
  };
}

function millisecondsOf(time: string | undefined): number {
  return Date.parse(time ?? "") || 0;
}

function versionOf(text: string | undefined): number {
  return text !== undefined && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : 1;
}

export function rawDataOf(object: KubernetesObject): RawData {
  const entries = Object.entries(fieldsOf(at(object, "data")));
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

export function rawData(data: SecretData): RawData {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value.reveal()).toString("base64")]),
  );
}

/** In clear. Bytes that are no text are shown in base64, with a note. */
export function clearData(raw: RawData): SecretData {
  return Object.fromEntries(
    Object.entries(raw).map(([key, base64]) => [key, new SecretValue(textOf(base64))]),
  );
}

function textOf(base64: string): string {
  try {
    // A byte order mark belongs to the value.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(base64, "base64"));
  } catch {
    return `(no text; in base64:) ${base64}`;
  }
}

/** Whether two Secrets hold the same, of the same type. */
export function holdsSame(one: KubernetesObject, other: KubernetesObject): boolean {
  const [data, otherData] = [rawDataOf(one), rawDataOf(other)];
  const keys = Object.keys(data);
  return (
    typeOf(one) === typeOf(other) &&
    keys.length === Object.keys(otherData).length &&
    keys.every((key) => Object.hasOwn(otherData, key) && otherData[key] === data[key])
  );
}

export function typeOf(object: KubernetesObject): string {
  return textAt(object, "type") ?? "Opaque";
}
