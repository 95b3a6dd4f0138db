import type { Cluster, KubernetesObject } from "../client/cluster.ts";
import { kinds } from "../client/kinds.ts";
import { clusterFailure } from "../client/to-failure.ts";
import { labelValue } from "../manifests/names.ts";
import { labels } from "../vocabulary.ts";
import {
  deploymentName,
  isFinished,
  nameOf,
  type RecordContent,
  type RunContent,
  runName,
  runOfKey,
  unpackRecord,
} from "./record-content.ts";
import type { SeenRecord } from "./record-writer.ts";
import type { RecordScope } from "./records.ts";

export interface LoadParts {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly seen: Map<string, SeenRecord>;
  /** What is in memory. */
  readonly contents: () => readonly RecordContent[];
  /** Whether this process has changed it since the reading began. */
  readonly isNewerHere: (name: string) => boolean;
  readonly keep: (content: RecordContent) => void;
  readonly forget: (content: RecordContent) => void;
  readonly warn: (text: string) => void;
}

/** One listing. */
interface Look {
  readonly labels: string;
  /** What it would have found, were it there: whatever of this in memory it has not found is gone. */
  readonly covers: (content: RecordContent) => boolean;
  /** Which of the found to read; all when undefined. */
  readonly pick?: (found: readonly KubernetesObject[]) => readonly KubernetesObject[];
}

/**
 * Reads what the scope is about into memory. Fails: cluster-unreachable, cluster-refused, version-mismatch.
 */
export async function loadRecords(scope: RecordScope, parts: LoadParts): Promise<void> {
  switch (scope.kind) {
    case "deployments":
      await Promise.all([take(allDeployments, parts), takeUnfinished(parts)]);
      break;
    case "deployment":
      await take(ofPipeline(scope.name), parts);
      break;
    case "namespace":
      await Promise.all([
        take(ofNamespace(scope.namespace), parts),
        take(documentsOfNoNamespace, parts),
        take(runsOfNoNamespace, parts),
      ]);
      await takeDocuments(unfinishedIds(parts, scope.namespace), parts);
      break;
    case "run":
      await takeRun(scope.id, parts);
      break;
    case "runs":
      // What made a live release is told by the deployments.
      await Promise.all([take(newestRuns(scope.limit, parts), parts), take(allDeployments, parts)]);
      break;
    case "unfinished":
      await Promise.all([takeUnfinished(parts), take(documentsOfNoNamespace, parts)]);
      await takeDocuments(unfinishedIds(parts, undefined), parts);
      break;
  }
}

/** Of logs there are Secrets with our labels, too. */
const ours = `${labels.record} in (deployment,document,release,run)`;

const allDeployments: Look = {
  labels: `${labels.record}=deployment`,
  covers: ({ kind }) => kind === "deployment",
};

const runsOfNoNamespace: Look = {
  labels: `${labels.record}=run,!${labels.namespace}`,
  covers: (content) => content.kind === "run" && content.run?.namespace === undefined,
};

/** Those of the engine itself, and those of runs that did not get far. */
const documentsOfNoNamespace: Look = {
  labels: `${labels.record}=document,!${labels.namespace}`,
  covers: (content) => content.kind === "document" && runOfKey(content.key) === undefined,
};

function ofPipeline(name: string): Look {
  return {
    labels: `${ours},${labels.deployment}=${labelValue(name)}`,
    covers(content) {
      switch (content.kind) {
        case "run":
          return content.run?.deployment === name;
        case "deployment":
          return content.deployment.name === name;
        case "release":
          return content.release.deployment === name;
        case "document":
          return false;
      }
    },
  };
}

function ofNamespace(namespace: string): Look {
  return {
    labels: `${ours},${labels.namespace}=${labelValue(namespace)}`,
    covers(content) {
      switch (content.kind) {
        case "run":
          return content.run?.namespace === namespace;
        case "deployment":
          return content.deployment.namespace === namespace;
        case "release":
          return content.release.namespace === namespace;
        case "document":
          return false;
      }
    },
  };
}

function newestRuns(limit: number, { seen }: LoadParts): Look {
  return {
    labels: `${labels.record}=run`,
    covers: ({ kind }) => kind === "run",
    pick(found) {
      const newest = found.toSorted((a, b) => (runLabel(a) < runLabel(b) ? 1 : -1)).slice(0, limit);
      return [...new Set([...newest, ...found.filter(({ metadata }) => seen.has(metadata.name))])];
    },
  };
}

function runLabel({ metadata }: KubernetesObject): string {
  return metadata.labels?.[labels.run] ?? "";
}

/** A run that is not found any more may have ended, or be gone. */
async function takeUnfinished(parts: LoadParts): Promise<void> {
  const before = parts.contents().filter(isUnfinished);
  const found = await take(
    { labels: `${labels.record}=run,${labels.finished}=false`, covers: () => false },
    parts,
  );
  const missing = before.map(nameOf).filter((name) => !found.has(name) && parts.seen.has(name));
  await Promise.all(missing.map((name) => takeOne(name, parts)));
}

function isUnfinished(content: RecordContent): content is RunContent {
  return content.kind === "run" && content.run !== undefined && !isFinished(content.run);
}

function unfinishedIds({ contents }: LoadParts, namespace: string | undefined): readonly string[] {
  return contents()
    .filter(isUnfinished)
    .filter(({ run }) => namespace === undefined || run?.namespace === namespace)
    .map(({ id }) => id);
}

/** A selector has room for so many. */
const idsAtOnce = 100;

async function takeDocuments(ids: readonly string[], parts: LoadParts): Promise<void> {
  for (let from = 0; from < ids.length; from += idsAtOnce) {
    const some = new Set(ids.slice(from, from + idsAtOnce));
    await take(
      {
        labels: `${labels.record}=document,${labels.run} in (${[...some].map(labelValue).join(",")})`,
        covers: (content) => content.kind === "document" && some.has(runOfKey(content.key) ?? ""),
      },
      parts,
    );
  }
}

/** With its documents, and its deployment, which tells whether it made the live release. */
async function takeRun(id: string, parts: LoadParts): Promise<void> {
  if (!(await takeOne(runName(id), parts))) {
    await take(
      {
        labels: `${labels.record}=run`,
        covers: (content) => content.kind === "run" && content.id.startsWith(id),
        pick: (found) => found.filter((secret) => runLabel(secret).startsWith(id)),
      },
      parts,
    );
  }
  const found = parts.contents().filter((content) => content.kind === "run" && content.id.startsWith(id));
  const pipelines = found.flatMap((content) => {
    const { namespace, deployment } = (content as RunContent).run ?? {};
    return namespace === undefined || deployment === undefined ? [] : [deploymentName(namespace, deployment)];
  });
  await Promise.all([
    ...[...new Set(pipelines)].map((name) => takeOne(name, parts)),
    takeDocuments(
      found.map((content) => (content as RunContent).id),
      parts,
    ),
  ]);
}

/** Returns the names of what was found. */
async function take(look: Look, parts: LoadParts): Promise<ReadonlySet<string>> {
  const { cluster, namespace, seen, isNewerHere } = parts;
  const found = await asked(parts, () => cluster.list(kinds.secret, { namespace, labels: look.labels }));
  for (const secret of look.pick?.(found) ?? found) takeSecret(secret, parts);
  const names = new Set(found.map(({ metadata }) => metadata.name));
  for (const content of parts.contents()) {
    const name = nameOf(content);
    if (look.covers(content) && !names.has(name) && seen.has(name) && !isNewerHere(name)) {
      parts.forget(content);
    }
  }
  return names;
}

/** False when there is none of that name. */
async function takeOne(name: string, parts: LoadParts): Promise<boolean> {
  const { cluster, namespace, seen, isNewerHere } = parts;
  const secret = await asked(parts, () => cluster.get(kinds.secret, { namespace, name }));
  if (secret !== undefined) {
    takeSecret(secret, parts);
    return true;
  }
  const known = seen.get(name);
  if (known !== undefined && !isNewerHere(name)) parts.forget(known.content);
  return false;
}

function takeSecret(secret: KubernetesObject, { namespace, seen, isNewerHere, keep, warn }: LoadParts): void {
  const { name, resourceVersion: version } = secret.metadata;
  if (isNewerHere(name) || (version !== undefined && seen.get(name)?.version === version)) return;
  const record = unpackRecord(secret);
  if (record.kind === "unreadable") {
    warn(`Secret ${name} in namespace ${namespace} is no record, and is left as it is: ${record.why}.`);
    return;
  }
  seen.set(name, { version, digest: record.digest, content: record.content });
  keep(record.content);
}

async function asked<Answer>({ cluster, namespace }: LoadParts, ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    throw clusterFailure(error, `read the record in namespace ${namespace} of ${cluster.server}`);
  }
}
