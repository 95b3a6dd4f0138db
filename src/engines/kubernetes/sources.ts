import { Failure } from "../../core/failure.ts";
import type { BatchTask, RunCommit, ServiceTask } from "../../core/run-state.ts";
import { withDefaultStorage } from "./claims.ts";
import type { Cluster, KubernetesObject } from "./client/cluster.ts";
import { createOnce } from "./client/create-once.ts";
import { kinds } from "./client/kinds.ts";
import { listAt, textAt } from "./client/objects.ts";
import type { KubernetesEngineParts } from "./engine-parts.ts";
import type { PodContext, SourcesPlace } from "./manifests/pod-context.ts";
import { largestArchive, sourceSecrets } from "./manifests/sources.ts";
import { stageNamespace } from "./manifests/stage-labels.ts";
import { programName, programObject } from "./pod/program.ts";
import { taskOf } from "./read-status/service-status.ts";
import { storeArchive } from "./stored-archives.ts";
import { labels } from "./vocabulary.ts";

/** The commits and the program that pods start from, each in the pipeline's namespace. */
export interface Sources {
  /** What is there already is left as it is. Fails: repository-limit (too large for the cluster). */
  prepare(namespace: string, commit: RunCommit, image: string): Promise<void>;
  /** What the pod of a task needs to know; its commit is put there if it is not. */
  podContext(task: BatchTask | ServiceTask): Promise<PodContext>;
  /** Removes commits and programs that nothing needs any more. */
  sweep(namespace: string): Promise<void>;
  /** Removes all of them. */
  removeAll(namespace: string): Promise<void>;
}

export function createSources(parts: KubernetesEngineParts): Sources {
  const { cluster, source, settings, clock } = parts;
  /** By namespace and commit. */
  const places = new Map<string, Promise<SourcesPlace>>();

  return {
    async prepare(namespace, commit, image) {
      await Promise.all([createOnce(cluster, programObject(namespace)), placeOf(namespace, commit, image)]);
    },
    async podContext(task) {
      const namespace = stageNamespace(task);
      const [sources] = await Promise.all([
        placeOf(namespace, task.commit, task.image ?? ""),
        createOnce(cluster, programObject(namespace)),
      ]);
      return {
        settings: withDefaultStorage(settings),
        sources,
        program: programName(),
        now: clock.now().toISOString(),
      };
    },
    async sweep(namespace) {
      const deployments = await cluster.list(kinds.deployment, {
        namespace,
        labels: `${labels.app}=${labels.appValue}`,
      });
      await Promise.all([
        sweepCommits(parts, namespace, deployments),
        sweepPrograms(cluster, namespace, deployments),
      ]);
    },
    async removeAll(namespace) {
      for (const key of places.keys()) if (key.startsWith(`${namespace}/`)) places.delete(key);
      const selection = { namespace, labels: labels.part };
      for (const kind of [kinds.secret, kinds.configMap]) {
        for (const { metadata } of await cluster.list(kind, selection)) {
          await cluster.delete(kind, { namespace, name: metadata.name });
        }
      }
    },
  };

  function placeOf(namespace: string, commit: RunCommit, image: string): Promise<SourcesPlace> {
    const key = `${namespace}/${commit.hash}`;
    const known = places.get(key);
    if (known !== undefined) return known;
    const place = putSources(namespace, commit, image);
    places.set(key, place);
    place.catch(() => places.delete(key));
    return place;
  }

  async function putSources(namespace: string, commit: RunCommit, image: string): Promise<SourcesPlace> {
    const there = await sourcesThere(cluster, namespace, commit.hash);
    if (there !== undefined) return there;
    const archive = await source.archive(commit);
    const parts = sourceSecrets({ namespace, commit: commit.hash, archive });
    if (parts !== undefined) {
      for (const part of parts) await createOnce(cluster, withCount(part, parts.length));
      return { kind: "secrets", names: parts.map(({ metadata }) => metadata.name) };
    }
    if (settings.storage === undefined) throw tooLarge(commit, archive.length);
    const key = await storeArchive({ cluster, settings, clock }, { namespace, commit, archive, image });
    return { kind: "stored", key };
  }
}

/** On each part: how many there are. */
const countAnnotation = "bodywork.io/parts";

function withCount(part: KubernetesObject, count: number): KubernetesObject {
  const annotations = { ...part.metadata.annotations, [countAnnotation]: String(count) };
  return { ...part, metadata: { ...part.metadata, annotations } };
}

/** Undefined when they are not there, or not all of them. */
async function sourcesThere(
  cluster: Cluster,
  namespace: string,
  commit: string,
): Promise<SourcesPlace | undefined> {
  const found = await cluster.list(kinds.secret, {
    namespace,
    labels: `${labels.part}=sources,${labels.commit}=${commit}`,
  });
  const count = found[0]?.metadata.annotations?.[countAnnotation];
  if (count === undefined || found.length !== Number(count)) return undefined;
  return { kind: "secrets", names: found.map(({ metadata }) => metadata.name).toSorted() };
}

function tooLarge({ shortHash }: RunCommit, bytes: number): Failure {
  const size = (bytes / 1024 ** 2).toFixed(1);
  return new Failure(
    "repository-limit",
    `Cannot bring commit ${shortHash} into the cluster: it has ${size} MiB, compressed, and a cluster takes ${largestArchive / 1024 ** 2} MiB by itself.`,
    {
      hint: "Name a bucket or a claim as kubernetes.storage in the settings, or keep large files out of the repository.",
    },
  );
}

/** Those stay that something serves, that an unfinished run is of, and the newest ones. */
async function sweepCommits(
  { cluster, store, settings }: KubernetesEngineParts,
  namespace: string,
  deployments: readonly KubernetesObject[],
): Promise<void> {
  const parts = await cluster.list(kinds.secret, { namespace, labels: `${labels.part}=sources` });
  const commitOf = ({ metadata }: KubernetesObject): string => metadata.labels?.[labels.commit] ?? "";
  const newest = [
    ...new Set(
      parts
        .toSorted((a, b) =>
          (b.metadata.creationTimestamp ?? "").localeCompare(a.metadata.creationTimestamp ?? ""),
        )
        .map(commitOf),
    ),
  ].slice(0, settings.kept_commits);
  const needed = new Set([
    ...newest,
    ...deployments.map((deployment) => taskOf(deployment).commit.hash),
    ...store.unfinishedRuns().flatMap(({ commit }) => commit?.hash ?? []),
  ]);
  for (const part of parts) {
    if (needed.has(commitOf(part))) continue;
    await cluster.delete(kinds.secret, { namespace, name: part.metadata.name });
  }
}

/** Those of older versions of this tool, once no Deployment's pods need them. */
async function sweepPrograms(
  cluster: Cluster,
  namespace: string,
  deployments: readonly KubernetesObject[],
): Promise<void> {
  const needed = new Set([programName(), ...deployments.flatMap(programsOf)]);
  const programs = await cluster.list(kinds.configMap, { namespace, labels: `${labels.part}=program` });
  for (const { metadata } of programs) {
    if (!needed.has(metadata.name)) await cluster.delete(kinds.configMap, { namespace, name: metadata.name });
  }
}

function programsOf(deployment: KubernetesObject): readonly string[] {
  return listAt(deployment, "spec", "template", "spec", "volumes").flatMap(
    (volume) => textAt(volume, "configMap", "name") ?? [],
  );
}
