import { createHash } from "node:crypto";

import { sanitisedName } from "../../../core/naming.ts";

/**
 * The name of a stage's Job, or of its Deployment with all that belongs to it, and the value of their label `stage`: the
 * original's where Kubernetes takes it (`stage_1` → `stage-1`, `prepare.data`). In small letters otherwise, and where more
 * than that had to be changed with a digest of the true name at the end, so that no two stages share one.
 */
export function objectName(stage: string): string {
  const name = sanitisedName(stage).toLowerCase();
  return isSubdomain(name, 63) ? name : withDigest(stage, name, 63);
}

/**
 * The name of a service's Service, under which its neighbours find it: `objectName`, unless that has a dot or begins with
 * a digit, which only a Service may not.
 */
export function serviceName(stage: string): string {
  const name = objectName(stage);
  if (/^[a-z][a-z0-9-]*$/.test(name)) return name;
  const plain = name.replaceAll(".", "-");
  return withDigest(stage, /^[a-z]/.test(plain) ? plain : `s-${plain}`, 63);
}

/** The namespace of a pipeline: as it is named where Kubernetes takes that. */
export function namespaceName(namespace: string): string {
  const name = sanitisedName(namespace).toLowerCase();
  if (isSubdomain(name, 63) && !name.includes(".")) return name;
  return withDigest(namespace, name.replaceAll(".", "-"), 63);
}

/** The Secret of a group in the management namespace: `GROUP-NAME`, as in the original. */
export function secretObjectName(group: string, name: string): string {
  return secretName(`${group}-${name}`);
}

/** The copy of a group's secret in a pipeline's namespace: `NAME`, as in the original. */
export function secretCopyName(name: string): string {
  return secretName(name);
}

/**
 * A value that a label may have: the text itself if it is one, else one made of it, with a digest so that no other text
 * has the same. Who must know the true text puts it into an annotation, too.
 */
export function labelValue(text: string): string {
  if (text.length <= 63 && /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/.test(text)) return text;
  return withDigest(text, text.replace(/[^-A-Za-z0-9_.]+/g, "-"), 63);
}

/** The label of a run's node (`train`, `train#2`). */
export function nodeLabel(node: string): string {
  return digestOf(node, 16);
}

/** The first `length` hexadecimal digits of a text's SHA-256. */
export function digestOf(content: string | Buffer, length: number): string {
  return createHash("sha256").update(content).digest("hex").slice(0, length);
}

/** Unlike names of stages, which may not differ in capitals alone, those of groups and secrets may. */
function secretName(text: string): string {
  const name = sanitisedName(text);
  return isSubdomain(name, 253) ? name : withDigest(text, name.toLowerCase(), 253);
}

/** RFC 1123. */
function isSubdomain(name: string, longest: number): boolean {
  const form = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
  return name.length <= longest && form.test(name);
}

const digestLength = 10;

function withDigest(trueName: string, name: string, longest: number): string {
  const plain = name.replace(/[-.]*\.[-.]*/g, (dots) => (dots === "." ? "." : "-"));
  const beginning = plain
    .slice(0, longest - digestLength - 1)
    .replace(/^[^A-Za-z0-9]+/, "")
    .replace(/[^A-Za-z0-9]+$/, "");
  const digest = digestOf(trueName, digestLength);
  return beginning === "" ? `x-${digest}` : `${beginning}-${digest}`;
}
