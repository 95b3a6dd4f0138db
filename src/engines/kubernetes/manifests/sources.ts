import type { KubernetesObject } from "../client/cluster.ts";
import { labels } from "../vocabulary.ts";
import { digestOf } from "./names.ts";

/** Bytes of a part: a Secret holds no more than a mebibyte, its other fields included. */
const partSize = 900 * 1024;
/** Bytes of an archive that is kept in Secrets; larger ones need a storage of their own. */
export const largestArchive = 8 * 1024 * 1024;

export interface CommitArchive {
  /** The pipeline's, as it is called in the cluster. */
  readonly namespace: string;
  /** 40 hex digits. */
  readonly commit: string;
  readonly archive: Buffer;
}

/**
 * The parts of a commit's archive, in order. They never change, so the same archive gives the same objects again.
 * Undefined when it has more than `largestArchive` bytes.
 */
export function sourceSecrets({
  namespace,
  commit,
  archive,
}: CommitArchive): readonly KubernetesObject[] | undefined {
  if (archive.length > largestArchive) return undefined;
  const name = `bodywork-sources-${commit.slice(0, 12)}-${digestOf(archive, 12)}`;
  return Array.from({ length: Math.max(1, Math.ceil(archive.length / partSize)) }, (_, index) => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: `${name}-${String(index).padStart(3, "0")}`,
      namespace,
      labels: {
        [labels.app]: labels.appValue,
        [labels.managedBy]: labels.appValue,
        [labels.part]: "sources",
        [labels.commit]: commit,
      },
    },
    type: "Opaque",
    immutable: true,
    data: { part: archive.subarray(index * partSize, (index + 1) * partSize).toString("base64") },
  }));
}
