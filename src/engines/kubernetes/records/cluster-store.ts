import type { Deployment, Release, Run, RunEvent, ServiceStatus, StageRun } from "../../../core/run-state.ts";
import type { Clock } from "../../../ports/clock.ts";
import type { NewRunEvent } from "../../../ports/run-store.ts";
import type { Cluster } from "../client/cluster.ts";
import { managementNamespace } from "../vocabulary.ts";
import { loadRecords } from "./load-records.ts";
import {
  type DeploymentContent,
  deploymentName,
  documentName,
  isFinished,
  nameOf,
  type RecordContent,
  type RunContent,
  releaseName,
  runName,
  runOfKey,
} from "./record-content.ts";
import { createRecordWriter } from "./record-writer.ts";
import type { ClusterStore } from "./records.ts";
import { createWriteQueue } from "./write-queue.ts";

export interface ClusterStoreParts {
  readonly cluster: Cluster;
  readonly clock: Clock;
  /** Where the Secrets are. */
  readonly namespace?: string;
  /** Told of each Secret that should be a record and can't be read; it is left as it is. */
  readonly onWarning?: (text: string) => void;
}

/**
 * The record in memory, and behind it one Secret for each run (with its events), deployment, release and
 * document. What is in the cluster when the process is killed between any two writes, is in order:
 *
 * - a release is on record together with its deployment, in one write, and after its run; the run's end comes
 *   after both
 * - a deployment goes before its releases, and these before its runs
 * - all else is written in the order of its first change, the newest version of each thing
 *
 * States of services are in memory only: the cluster itself tells them. A document whose key begins with a
 * run's id (`20261123-190512345-k3f9/train/1`) is that run's, and is read with it.
 */
export function createClusterStore(parts: ClusterStoreParts): ClusterStore {
  const { cluster, clock, namespace = managementNamespace, onWarning = () => {} } = parts;
  const runs = new Map<string, RunContent>();
  const deployments = new Map<string, DeploymentContent>();
  /** With a Secret of their own. */
  const releases = new Map<string, Release>();
  const documents = new Map<string, Map<string, unknown>>();
  const services = new Map<string, ServiceStatus>();
  const writer = createRecordWriter(cluster, namespace);
  const queue = createWriteQueue(clock);
  /** When each thing was last written, by a count of ours: what was listed before may be older. */
  const writtenAt = new Map<string, number>();
  let count = 0;
  const warned = new Set<string>();
  const plainStages = new WeakMap<StageRun, StageRun>();

  return {
    run: (id) => runs.get(id)?.run,
    runIds: (beginning, limit) =>
      allRuns()
        .map(({ id }) => id)
        .filter((id) => id.startsWith(beginning))
        .toSorted(descending)
        .slice(0, limit),
    runs({ deployment, namespace: of, limit }) {
      const isMeant = (run: Run): boolean =>
        (deployment === undefined || run.deployment === deployment) &&
        (of === undefined || run.namespace === of);
      // Of runs that are not loaded themselves.
      const last = [...deployments.values()].flatMap(({ lastRun }) =>
        lastRun === undefined || runs.has(lastRun.id) ? [] : [lastRun],
      );
      return [...allRuns(), ...last]
        .filter(isMeant)
        .toSorted((a, b) => descending(a.id, b.id))
        .slice(0, limit);
    },
    unfinishedRuns: () =>
      allRuns()
        .filter((run) => !isFinished(run))
        .toSorted((a, b) => descending(b.id, a.id)),
    events: (runId, after) => (runs.get(runId)?.events ?? []).filter((event) => seqOf(event) > after),
    deployments: () =>
      [...deployments.values()]
        .map(({ deployment }) => deployment)
        .toSorted((a, b) => descending(b.namespace, a.namespace) || descending(b.name, a.name)),
    deployment: (of, name) => deployments.get(keyOf(of, name))?.deployment,
    release: findRelease,
    releases: releasesOf,
    services: () =>
      [...services.values()].toSorted(
        (a, b) => descending(b.namespace, a.namespace) || descending(b.stage, a.stage),
      ),

    saveRun(run, told) {
      const saved = plainRun(run);
      const before = runs.get(run.id)?.events ?? [];
      const event = told === undefined ? undefined : numbered(told.event, told.at, before);
      runs.set(run.id, {
        kind: "run",
        id: run.id,
        run: saved,
        events: event === undefined ? before : [...before, event],
      });
      putRun(run.id);
      if (isFinished(saved)) noteLastRun(saved);
      return event;
    },
    addEvent(runId, added, at) {
      const { run, events } = runs.get(runId) ?? { run: undefined, events: [] };
      const event = numbered(added, at, events);
      runs.set(runId, { kind: "run", id: runId, run, events: [...events, event] });
      putRun(runId);
      return event;
    },
    saveRelease(release, deployment) {
      const made = plain(release);
      const key = keyOf(deployment.namespace, deployment.name);
      const before = deployments.get(key);
      // It is not moved before anything that was saved before it, its run above all.
      queue.border();
      for (const former of before?.releases ?? []) {
        if (!releases.has(releaseKey(former)) && releaseKey(former) !== releaseKey(made)) putRelease(former);
      }
      releases.set(releaseKey(made), made);
      const live =
        deployment.liveRelease === undefined
          ? undefined
          : findRelease(deployment.namespace, deployment.name, deployment.liveRelease);
      const inline = [live, ofPipeline(deployment)(made) ? made : undefined];
      putDeployment({
        kind: "deployment",
        deployment: plain(deployment),
        releases: [...new Set(inline)].filter((found) => found !== undefined),
        lastRun: before === undefined ? newestEnded(deployment) : before.lastRun,
      });
      putRelease(made);
    },
    removeRelease({ namespace: of, deployment, number }) {
      const found = deployments.get(keyOf(of, deployment));
      if (found?.releases.some((release) => release.number === number)) {
        putDeployment({
          ...found,
          releases: found.releases.filter((release) => release.number !== number),
        });
      }
      dropRelease(of, deployment, number);
    },
    removeDeployment(of, name) {
      const ended = allRuns()
        .filter((run) => run.namespace === of && run.deployment === name && isFinished(run))
        .map(({ id }) => id);
      const numbers = releasesOf(of, name).map(({ number }) => number);
      deployments.delete(keyOf(of, name));
      remove("deployment", deploymentName(of, name));
      for (const number of numbers) dropRelease(of, name, number);
      dropRuns(ended);
      return ended;
    },
    removeOldRuns(keep) {
      const made = liveRuns();
      const byPipeline = Map.groupBy(allRuns(), (run) =>
        keyOf(run.namespace ?? null, run.deployment ?? null),
      );
      const old = [...byPipeline.values()]
        .flatMap((ofOne) => ofOne.toSorted((a, b) => descending(a.id, b.id)).slice(Math.max(0, keep)))
        .filter((run) => isFinished(run) && !made.has(run.id))
        .map(({ id }) => id);
      dropRuns(old);
      return old;
    },
    removeRuns(ids) {
      const made = liveRuns();
      const removable = ids.filter((id) => {
        const run = runs.get(id)?.run;
        return run !== undefined && isFinished(run) && !made.has(id);
      });
      dropRuns(removable);
      return removable;
    },
    saveServiceStatus(status) {
      services.set(keyOf(status.namespace, status.stage), plain(status));
    },
    removeServiceStatus(of, stage) {
      services.delete(keyOf(of, stage));
    },
    document: <T>(collection: string, key: string) => documents.get(collection)?.get(key) as T | undefined,
    documents: <T>(collection: string) =>
      new Map(
        [...(documents.get(collection) ?? [])].toSorted(([a], [b]) => descending(b, a)) as [string, T][],
      ),
    saveDocument(collection, key, value) {
      const saved = plain(value);
      keepDocument(collection, key, saved);
      const ofRun = runOfKey(key);
      const of = ofRun === undefined ? undefined : runs.get(ofRun)?.run?.namespace;
      put({ kind: "document", collection, key, value: saved, namespace: of });
    },
    removeDocument(collection, key) {
      documents.get(collection)?.delete(key);
      remove("document", documentName(collection, key));
    },
    close: queue.close,

    async refresh(scope) {
      // What waits is told of by the listing, then; what can't be written is kept as it is here.
      await queue.settled().catch(() => {});
      const begun = count;
      await loadRecords(scope, {
        cluster,
        namespace,
        seen: writer.seen,
        contents,
        isNewerHere: (name) => queue.has(name) || (writtenAt.get(name) ?? 0) > begun,
        keep,
        forget,
        warn(text) {
          if (!warned.has(text)) onWarning(text);
          warned.add(text);
        },
      });
    },
    settled: queue.settled,
  };

  function allRuns(): readonly Run[] {
    return [...runs.values()].flatMap(({ run }) => run ?? []);
  }

  function findRelease(of: string, deployment: string, number: number): Release | undefined {
    return (
      releases.get(keyOf(of, deployment, number)) ??
      deployments.get(keyOf(of, deployment))?.releases.find((release) => release.number === number)
    );
  }

  function releasesOf(of: string, deployment: string): readonly Release[] {
    const isMeant = ofPipeline({ namespace: of, name: deployment });
    const inline = deployments.get(keyOf(of, deployment))?.releases ?? [];
    const own = [...releases.values()].filter(isMeant);
    return [...own, ...inline.filter((release) => !releases.has(releaseKey(release)))].toSorted(
      (a, b) => b.number - a.number,
    );
  }

  /** Runs that made a live release. */
  function liveRuns(): ReadonlySet<string> {
    const live = [...deployments.values()].flatMap(({ deployment: { namespace: of, name, liveRelease } }) =>
      liveRelease === undefined ? [] : (findRelease(of, name, liveRelease)?.runId ?? []),
    );
    return new Set(live);
  }

  function newestEnded({ namespace: of, name }: Pick<Deployment, "namespace" | "name">): Run | undefined {
    const [newest] = allRuns()
      .filter((run) => run.namespace === of && run.deployment === name && isLastRun(run))
      .toSorted((a, b) => descending(a.id, b.id));
    return newest === undefined ? undefined : summaryOf(newest);
  }

  function noteLastRun(run: Run): void {
    if (run.namespace === undefined || run.deployment === undefined || !isLastRun(run)) return;
    const found = deployments.get(keyOf(run.namespace, run.deployment));
    if (found === undefined || (found.lastRun !== undefined && found.lastRun.id > run.id)) return;
    putLastRun(found, summaryOf(run));
  }

  function dropRuns(ids: readonly string[]): void {
    for (const id of ids) runs.delete(id);
    for (const found of deployments.values()) {
      if (found.lastRun === undefined || !ids.includes(found.lastRun.id)) continue;
      putLastRun(found, newestEnded(found.deployment));
    }
    for (const id of ids) remove("run", runName(id));
  }

  function dropRelease(of: string, deployment: string, number: number): void {
    releases.delete(keyOf(of, deployment, number));
    remove("release", releaseName(of, deployment, number));
  }

  function keepDocument(collection: string, key: string, value: unknown): void {
    const ofCollection = documents.get(collection) ?? new Map<string, unknown>();
    documents.set(collection, ofCollection.set(key, value));
  }

  function putRun(id: string): void {
    const content = runs.get(id);
    if (content !== undefined) put(content);
  }

  function putRelease(release: Release): void {
    releases.set(releaseKey(release), release);
    put({ kind: "release", release });
  }

  function putDeployment(content: DeploymentContent): void {
    deployments.set(keyOfDeployment(content), content);
    put(content);
  }

  /** Changes nothing else of the deployment, whatever another controller has made of it. */
  function putLastRun(found: DeploymentContent, lastRun: Run | undefined): void {
    const key = keyOfDeployment(found);
    const name = nameOf(found);
    const changed = { ...found, lastRun };
    deployments.set(key, changed);
    queue.add({
      name,
      sort: "put last run",
      async carryOut() {
        const there = writer.seen.get(name)?.content;
        if (there?.kind !== "deployment") return;
        const stored = await writer.put({ ...there, lastRun });
        written(name);
        if (stored !== undefined && deployments.get(key) === changed) keep(stored);
      },
    });
  }

  function put(content: RecordContent): void {
    const name = nameOf(content);
    queue.add({
      name,
      sort: `put ${content.kind}`,
      async carryOut() {
        await writer.put(content);
        written(name);
      },
    });
  }

  function remove(kind: RecordContent["kind"], name: string): void {
    queue.add({
      name,
      sort: `remove ${kind}`,
      async carryOut() {
        await writer.remove(name);
        written(name);
      },
    });
  }

  function written(name: string): void {
    count += 1;
    writtenAt.set(name, count);
  }

  /** All that is in memory and has a Secret, or will have one. */
  function contents(): readonly RecordContent[] {
    return [
      ...runs.values(),
      ...deployments.values(),
      ...[...releases.values()].map((release) => ({ kind: "release" as const, release })),
      ...[...documents].flatMap(([collection, ofCollection]) =>
        [...ofCollection].map(([key, value]) => ({ kind: "document" as const, collection, key, value })),
      ),
    ];
  }

  function keep(content: RecordContent): void {
    switch (content.kind) {
      case "run":
        runs.set(content.id, content);
        break;
      case "deployment":
        deployments.set(keyOfDeployment(content), content);
        break;
      case "release":
        releases.set(releaseKey(content.release), content.release);
        break;
      case "document":
        keepDocument(content.collection, content.key, content.value);
    }
  }

  function forget(content: RecordContent): void {
    writer.seen.delete(nameOf(content));
    switch (content.kind) {
      case "run":
        runs.delete(content.id);
        break;
      case "deployment":
        deployments.delete(keyOfDeployment(content));
        break;
      case "release":
        releases.delete(releaseKey(content.release));
        break;
      case "document":
        documents.get(content.collection)?.delete(content.key);
    }
  }

  /** A run of many stages is saved with each change of one. */
  function plainRun({ stages, ...run }: Run): Run {
    return { ...plain(run), stages: stages.map(plainStage) };
  }

  function plainStage(stage: StageRun): StageRun {
    const known = plainStages.get(stage);
    if (known !== undefined) return known;
    const saved = plain(stage);
    plainStages.set(stage, saved);
    return saved;
  }
}

/** As it is when it is read again: a copy, without what is undefined. */
function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

function numbered(event: NewRunEvent, at: Date, before: readonly RunEvent[]): RunEvent {
  const last = before.at(-1);
  return plain({
    ...event,
    seq: (last === undefined ? 0 : seqOf(last)) + 1,
    at: at.toISOString(),
  } as RunEvent);
}

function seqOf(event: RunEvent): number {
  return event.kind === "log" ? 0 : event.seq;
}

/** Not one that was refused because the deployment is another repository's. */
function isLastRun(run: Run): boolean {
  return isFinished(run) && run.code !== "namespace-taken";
}

/** What a list of deployments tells of a run. */
function summaryOf({ secrets: _, ...run }: Run): Run {
  return { ...run, details: run.details.slice(0, 20), stages: [], changed: [] };
}

function ofPipeline({ namespace, name }: Pick<Deployment, "namespace" | "name">): (of: Release) => boolean {
  return (release) => release.namespace === namespace && release.deployment === name;
}

function keyOf(...parts: readonly (string | number | null)[]): string {
  return JSON.stringify(parts);
}

function keyOfDeployment({ deployment: { namespace, name } }: DeploymentContent): string {
  return keyOf(namespace, name);
}

function releaseKey({ namespace, deployment, number }: Release): string {
  return keyOf(namespace, deployment, number);
}

/** By code units, as the other store does. */
function descending(a: string, b: string): number {
  return a < b ? 1 : a > b ? -1 : 0;
}
