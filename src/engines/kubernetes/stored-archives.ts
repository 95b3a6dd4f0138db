import { Failure } from "../../core/failure.ts";
import type { RunCommit } from "../../core/run-state.ts";
import type { KubernetesSettings } from "../../core/settings.ts";
import type { KubernetesObject } from "./client/cluster.ts";
import { kinds } from "./client/kinds.ts";
import { listAt, textAt } from "./client/objects.ts";
import type { KubernetesEngineParts } from "./engine-parts.ts";
import { digestOf, secretObjectName } from "./manifests/names.ts";
import { pullPolicy } from "./manifests/pod.ts";
import { podPaths } from "./pod/pod-contract.ts";
import { putObject } from "./put-object.ts";
import { untilNone, watchAll } from "./sight.ts";
import { labels, managementNamespace } from "./vocabulary.ts";

export interface LargeArchive {
  readonly namespace: string;
  readonly commit: RunCommit;
  readonly archive: Buffer;
  /** One with a shell, that the cluster can have. */
  readonly image: string;
}

type Parts = Pick<KubernetesEngineParts, "cluster" | "settings" | "clock">;
type Storage = NonNullable<KubernetesSettings["storage"]>;

/**
 * Puts a commit that is too large for Secrets into the storage of the settings; returns its key there. Fails:
 * repository-limit, secret-missing (the bucket's keys), cluster-refused (the bucket or the claim does not take it).
 */
export async function storeArchive(parts: Parts, large: LargeArchive): Promise<string> {
  const { storage } = parts.settings;
  const { archive, commit } = large;
  if (storage === undefined) throw new Failure("internal", "There is no storage for a large commit.");
  const key = storedKey(commit, archive);
  if ("s3" in storage) await putIntoBucket(parts, storage, key, archive);
  else await putIntoClaim(parts, storage, key, large);
  return key;
}

/** The key that a commit has in the storage. */
export function storedKey({ hash }: RunCommit, archive: Buffer): string {
  return `commits/${hash}-${digestOf(archive, 12)}.tar.gz`;
}

async function putIntoBucket(
  { cluster, settings }: Parts,
  { s3 }: Extract<Storage, { readonly s3: unknown }>,
  key: string,
  archive: Buffer,
): Promise<void> {
  const [group = "", name = ""] = s3.secret.split("/");
  const secret = await cluster.get(kinds.secret, {
    namespace: settings.single_namespace ?? managementNamespace,
    name: secretObjectName(group, name),
  });
  const keyOf = (field: string): string =>
    Buffer.from(textAt(secret, "data", field) ?? "", "base64")
      .toString("utf8")
      .trim();
  const credentials = { id: keyOf("AWS_ACCESS_KEY_ID"), secret: keyOf("AWS_SECRET_ACCESS_KEY") };
  if (credentials.id === "" || credentials.secret === "") {
    throw new Failure(
      "secret-missing",
      `Cannot use the bucket ${s3.bucket}: secret ${name} of group ${group} has no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.`,
      {
        hint: `bodywork create secret ${name} --group ${group} --data AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…`,
      },
    );
  }
  const prefix = s3.prefix.replace(/^\/+|\/+$/g, "");
  await putObject(
    {
      endpoint: s3.endpoint ?? `https://s3.${s3.region}.amazonaws.com`,
      bucket: s3.bucket,
      region: s3.region,
      ...credentials,
    },
    prefix === "" ? key : `${prefix}/${key}`,
    archive,
  );
}

/** Bytes of one Secret's part, and of the parts that lie in the cluster at once. */
const partSize = 900 * 1024;
const largestForClaim = 256 * 1024 * 1024;

/** By way of Secrets, from which a Job of its own writes the claim; they go when it is done. */
async function putIntoClaim(
  { cluster, settings, clock }: Parts,
  { claim }: Extract<Storage, { readonly claim: unknown }>,
  key: string,
  { namespace, commit, archive, image }: LargeArchive,
): Promise<void> {
  if (archive.length > largestForClaim) {
    throw new Failure(
      "repository-limit",
      `Cannot bring commit ${commit.shortHash} into the cluster: it has ${Math.ceil(archive.length / 1024 ** 2)} MiB, compressed, and a claim is filled with ${largestForClaim / 1024 ** 2} MiB at most.`,
      { hint: "Use a bucket as kubernetes.storage, or keep large files out of the repository." },
    );
  }
  const name = `bodywork-store-${digestOf(key, 16)}`;
  const ours = { [labels.app]: labels.appValue, [labels.managedBy]: labels.appValue, [labels.part]: "store" };
  const count = Math.ceil(archive.length / partSize);
  const partNames = Array.from({ length: count }, (_, index) => `${name}-${String(index).padStart(3, "0")}`);
  const removeAll = async (): Promise<void> => {
    await cluster.delete(kinds.job, { namespace, name }, { foreground: true });
    for (const part of partNames) await cluster.delete(kinds.secret, { namespace, name: part });
  };
  await removeAll();
  await untilNone(cluster, kinds.job, { namespace, fields: `metadata.name=${name}` }, clock);
  try {
    for (const [index, part] of partNames.entries()) {
      const bytes = archive.subarray(index * partSize, (index + 1) * partSize);
      await cluster.create({
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: part, namespace, labels: ours },
        data: { part: bytes.toString("base64") },
      });
    }
    await cluster.create(storeJob({ name, namespace, labels: ours }, partNames, claim, key, image, settings));
    await untilStored(cluster, namespace, name, claim, settings.start_timeout_seconds, clock);
  } finally {
    await removeAll();
  }
}

function storeJob(
  metadata: KubernetesObject["metadata"],
  parts: readonly string[],
  claim: string,
  key: string,
  image: string,
  settings: KubernetesSettings,
): KubernetesObject {
  const target = `${podPaths.storage}/${key}`;
  const folder = target.slice(0, target.lastIndexOf("/"));
  // Complete before it has its name.
  const script = `mkdir -p ${folder} && cat ${podPaths.sources}/part-* >${target}.making && mv ${target}.making ${target}`;
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata,
    spec: {
      backoffLimit: 2,
      ttlSecondsAfterFinished: 900,
      template: {
        metadata: { labels: metadata.labels },
        spec: {
          restartPolicy: "Never",
          automountServiceAccountToken: false,
          containers: [
            {
              name: "store",
              image,
              imagePullPolicy: pullPolicy(image, settings),
              command: ["/bin/sh", "-c", script],
              volumeMounts: [
                { name: "sources", mountPath: podPaths.sources, readOnly: true },
                { name: "storage", mountPath: podPaths.storage },
              ],
            },
          ],
          volumes: [
            {
              name: "sources",
              projected: {
                sources: parts.map((part, index) => ({
                  secret: {
                    name: part,
                    items: [{ key: "part", path: `part-${String(index).padStart(5, "0")}` }],
                  },
                })),
              },
            },
            { name: "storage", persistentVolumeClaim: { claimName: claim } },
          ],
        },
      },
    },
  };
}

async function untilStored(
  cluster: Parts["cluster"],
  namespace: string,
  name: string,
  claim: string,
  limit: number,
  clock: Parts["clock"],
): Promise<void> {
  const selection = { namespace, fields: `metadata.name=${name}` };
  const sight = await watchAll(
    cluster,
    { jobs: [kinds.job, selection] },
    clock,
    new AbortController().signal,
  );
  const end = clock.monotonic() + limit * 1000;
  try {
    for (;;) {
      const conditions = sight.found.jobs.flatMap((job) => listAt(job, "status", "conditions"));
      const holds = (type: string): boolean =>
        conditions.some((one) => textAt(one, "type") === type && textAt(one, "status") === "True");
      if (holds("Complete")) return;
      const left = (end - clock.monotonic()) / 1000;
      if (holds("Failed") || left <= 0) {
        throw new Failure(
          "cluster-refused",
          `Cannot store the commit in the claim ${claim} of namespace ${namespace}: the Job ${name} ${holds("Failed") ? "failed" : `was not done within ${limit} s`}.`,
          { hint: `Is there such a claim, bound, with room? kubectl -n ${namespace} describe pvc ${claim}` },
        );
      }
      await sight.changed(left);
    }
  } finally {
    sight.close();
  }
}
