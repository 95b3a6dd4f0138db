/**
 * The record as Secrets of the management namespace: one for each thing, its name a digest of what the thing
 * is, its content JSON, compressed. Labels only help to find it; what counts is the content.
 */

import { promisify } from "node:util";
import { gunzipSync, gzip } from "node:zlib";

import { Failure } from "../../../core/failure.ts";
import {
  type Deployment,
  finishedRunStatuses,
  type Release,
  type Run,
  type RunEvent,
} from "../../../core/run-state.ts";
import type { KubernetesObject } from "../client/cluster.ts";
import { at, textAt } from "../client/objects.ts";
import { digestOf, labelValue } from "../manifests/names.ts";
import { labels } from "../vocabulary.ts";
import { shorterForms } from "./shorten-record.ts";

export type RecordContent = RunContent | DeploymentContent | ReleaseContent | DocumentContent;

export interface RunContent {
  readonly kind: "run";
  readonly id: string;
  /** Undefined when there are only events. */
  readonly run: Run | undefined;
  readonly events: readonly RunEvent[];
}

export interface DeploymentContent {
  readonly kind: "deployment";
  readonly deployment: Deployment;
  /**
   * The live one, and one that was made with this very change: it is on record by this, together with the
   * deployment, and has a Secret of its own right afterwards.
   */
  readonly releases: readonly Release[];
  /** The newest run that has ended, without its stages. */
  readonly lastRun: Run | undefined;
}

export interface ReleaseContent {
  readonly kind: "release";
  readonly release: Release;
}

export interface DocumentContent {
  readonly kind: "document";
  readonly collection: string;
  readonly key: string;
  readonly value: unknown;
  /** Of the run that the key begins with, where it was known. */
  readonly namespace?: string | undefined;
}

export const recordType = "bodywork.io/record";
/** Of this form; a newer one is refused. */
const format = 1;
/** Compressed; a Secret holds a mebibyte. */
const mostBytes = 900 * 1024;
/** Of a content that somebody else may have made. */
const mostUnpackedBytes = 256 * 1024 * 1024;

/** A content as it is stored. */
export interface PackedRecord {
  readonly secret: KubernetesObject;
  /** Of the content's text: equal when nothing has changed. */
  readonly digest: string;
}

/**
 * The Secret for a content. What would not fit loses its oldest events and details first, and says so. Fails:
 * cluster-refused, when it does not fit even so.
 */
export async function packRecord(content: RecordContent, namespace: string): Promise<PackedRecord> {
  let bytes = 0;
  for (const form of shorterForms(content)) {
    const text = JSON.stringify(form);
    const packed = await compress(text);
    bytes = packed.length;
    if (bytes > mostBytes) continue;
    return {
      digest: digestOf(text, 32),
      secret: {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: nameOf(content), namespace, labels: labelsOf(content) },
        type: recordType,
        data: {
          format: Buffer.from(String(format)).toString("base64"),
          record: packed.toString("base64"),
        },
      },
    };
  }
  throw new Failure(
    "cluster-refused",
    `Cannot record ${describe(content)}: it has ${kibibytes(bytes)} when it is compressed, and a Secret has room for ${kibibytes(mostBytes)}.`,
    { hint: "Deploy less with one pipeline: fewer stages, or fewer inputs and outputs of each." },
  );
}

const compress = promisify(gzip);

function kibibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024)} KiB`;
}

export type UnpackedRecord =
  | { readonly kind: "record"; readonly content: RecordContent; readonly digest: string }
  /** Somebody else made or changed it; `why` completes "Secret X is no record: ". */
  | { readonly kind: "unreadable"; readonly why: string };

/** Fails: version-mismatch (a newer Bodywork wrote it). */
export function unpackRecord(secret: KubernetesObject): UnpackedRecord {
  const { name } = secret.metadata;
  if (secret.type !== recordType) return { kind: "unreadable", why: `it is not of type ${recordType}` };
  const written = dataOf(secret, "format")?.toString("utf8") ?? "";
  if (/^\d+$/.test(written) && Number(written) > format) {
    throw new Failure(
      "version-mismatch",
      `Cannot read the record ${name}: it is of version ${written}, and this Bodywork knows versions up to ${format}.`,
      { hint: "Use the newer Bodywork that wrote it." },
    );
  }
  try {
    const packed = dataOf(secret, "record") ?? Buffer.alloc(0);
    const text = gunzipSync(packed, { maxOutputLength: mostUnpackedBytes }).toString("utf8");
    const content: unknown = JSON.parse(text);
    if (!isContent(content)) return { kind: "unreadable", why: "its content is not what a record has" };
    if (nameOf(content) !== name) return { kind: "unreadable", why: `it is a copy of ${nameOf(content)}` };
    return { kind: "record", content, digest: digestOf(text, 32) };
  } catch (error) {
    return { kind: "unreadable", why: (error as Error).message };
  }
}

function dataOf(secret: KubernetesObject, key: string): Buffer | undefined {
  const value = textAt(secret, "data", key);
  return value === undefined ? undefined : Buffer.from(value, "base64");
}

/** As far as the store depends on it: what is found by, sorted by and counted by. */
function isContent(value: unknown): value is RecordContent {
  const text = (...path: string[]): boolean => typeof at(value, ...path) === "string";
  switch (at(value, "kind")) {
    case "run":
      return (
        text("id") &&
        Array.isArray(at(value, "events")) &&
        (at(value, "run") === undefined ||
          (at(value, "run", "id") === at(value, "id") &&
            text("run", "status") &&
            Array.isArray(at(value, "run", "stages"))))
      );
    case "deployment":
      return (
        text("deployment", "namespace") &&
        text("deployment", "name") &&
        Array.isArray(at(value, "releases")) &&
        (at(value, "releases") as unknown[]).every(isRelease)
      );
    case "release":
      return isRelease(at(value, "release"));
    case "document":
      return text("collection") && text("key") && at(value, "value") !== undefined;
    default:
      return false;
  }
}

function isRelease(value: unknown): value is Release {
  const text = (key: string): boolean => typeof at(value, key) === "string";
  return text("namespace") && text("deployment") && text("runId") && typeof at(value, "number") === "number";
}

export function nameOf(content: RecordContent): string {
  switch (content.kind) {
    case "run":
      return runName(content.id);
    case "deployment":
      return deploymentName(content.deployment.namespace, content.deployment.name);
    case "release": {
      const { namespace, deployment, number } = content.release;
      return releaseName(namespace, deployment, number);
    }
    case "document":
      return documentName(content.collection, content.key);
  }
}

export function runName(id: string): string {
  return recordName("run", id);
}

export function deploymentName(namespace: string, name: string): string {
  return recordName("deployment", namespace, name);
}

export function releaseName(namespace: string, deployment: string, number: number): string {
  return recordName("release", namespace, deployment, String(number));
}

export function documentName(collection: string, key: string): string {
  return recordName("document", collection, key);
}

/** Readable, and by the digest of its own. */
function recordName(kind: RecordContent["kind"], ...what: readonly string[]): string {
  const readable = what
    .join("-")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 80);
  const digest = digestOf(JSON.stringify([kind, ...what]), 16);
  return `bodywork-${kind}-${readable}-${digest}`.replace(/-+/g, "-");
}

/**
 * Of a pipeline's own things, with the run's job; a label's value is short and legal, the content has the
 * true one.
 */
const jobLabel = "bodywork.io/job";

export function labelsOf(content: RecordContent): Record<string, string> {
  const own = ((): Record<string, string | undefined> => {
    switch (content.kind) {
      case "run":
        return {
          [labels.run]: content.id,
          [labels.namespace]: content.run?.namespace,
          [labels.deployment]: content.run?.deployment,
          [labels.finished]: String(content.run === undefined || isFinished(content.run)),
          [jobLabel]: content.run?.request?.job,
        };
      case "deployment":
        return {
          [labels.namespace]: content.deployment.namespace,
          [labels.deployment]: content.deployment.name,
        };
      case "release":
        return {
          [labels.namespace]: content.release.namespace,
          [labels.deployment]: content.release.deployment,
          [labels.run]: content.release.runId,
        };
      case "document":
        return { [labels.run]: runOfKey(content.key), [labels.namespace]: content.namespace };
    }
  })();
  return {
    [labels.app]: labels.appValue,
    [labels.managedBy]: labels.appValue,
    [labels.record]: content.kind,
    ...Object.fromEntries(
      Object.entries(own).flatMap(([label, value]) =>
        value === undefined ? [] : [[label, labelValue(value)]],
      ),
    ),
  };
}

/** The run that a document's key begins with: `20261123-190512345-k3f9/train/1`. */
export function runOfKey(key: string): string | undefined {
  return /^\d{8}-\d{6,9}-[0-9a-z]{4}(?![0-9a-z])/.exec(key)?.[0];
}

export function isFinished({ status }: Run): boolean {
  return finishedRunStatuses.has(status);
}

/** For messages. */
export function describe(content: RecordContent): string {
  switch (content.kind) {
    case "run":
      return `run ${content.id}`;
    case "deployment":
      return `deployment ${content.deployment.name} in namespace ${content.deployment.namespace}`;
    case "release": {
      const { namespace, deployment, number } = content.release;
      return `release ${number} of ${deployment} in namespace ${namespace}`;
    }
    case "document":
      return `${content.collection} ${content.key}`;
  }
}
