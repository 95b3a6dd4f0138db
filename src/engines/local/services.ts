import { sanitisedName } from "../../core/naming.ts";
import type { ServiceStatus, ServiceTask } from "../../core/run-state.ts";
import type { RollOutOutcome, ServiceName, TaskObserver } from "../../ports/engine.ts";
import { type Address, addressKey } from "./addresses.ts";
import type { Route } from "./ingress/routes.ts";
import type { LocalEngineParts } from "./local-engine.ts";
import { keepReplica, type Replica, type ReplicaRecord } from "./replica.ts";

/** What is remembered of a service across restarts of the server. */
interface ServiceRecord {
  readonly task: ServiceTask;
  /** The stable address that its name resolves to; it stays as long as the service and its port do. */
  readonly address: Address;
  readonly replicas: readonly ReplicaRecord[];
}

/** What is being started beside what serves, and what is to be stopped after it: none of it gets requests. */
interface AsideRecord {
  readonly task: ServiceTask;
  readonly replicas: readonly ReplicaRecord[];
  readonly role: "candidate" | "retiring";
}

interface LiveService {
  task: ServiceTask;
  address: Address;
  replicas: readonly Replica[];
}

/** The service stages of this machine: kept alive, routed to, replaced without losing a request. */
export interface LocalServices {
  /** Takes up what an earlier server left: adopts what runs, starts what should run and does not. */
  takeUp(isUnfinished: (runId: string) => boolean): Promise<void>;
  current(service: ServiceName): ServiceTask | undefined;
  statuses(): readonly ServiceStatus[];
  rollOut(task: ServiceTask, observer: TaskObserver, signal: AbortSignal): Promise<RollOutOutcome>;
  remove(service: ServiceName): Promise<void>;
  /** Ends all processes; what should run stays on record and comes back with the next server. */
  stopAll(): Promise<void>;
}

/** Milliseconds that requests in flight (and streams) get when their replica is replaced. */
const drainTime = 30_000;

export function createServices(parts: LocalEngineParts): LocalServices {
  const { store, ingress, names, addresses } = parts;
  const live = new Map<string, LiveService>();
  const asides = new Map<string, readonly Replica[]>();

  return {
    async takeUp(isUnfinished) {
      for (const [key, record] of store.documents<ServiceRecord>("services")) {
        const service: LiveService = { task: record.task, address: record.address, replicas: [] };
        service.replicas = record.replicas.map((replica) => keep(key, record.task, replica, true));
        live.set(key, service);
      }
      await publish();
      for (const [key, record] of store.documents<AsideRecord>("asides")) {
        // The run that started a candidate goes on with it; what nobody waits for is stopped.
        if (record.role === "candidate" && isUnfinished(record.task.runId)) continue;
        const replicas = record.replicas.map((replica) => keepAside(record.task, replica, () => {}, true));
        await stopReplicas(replicas);
        store.removeDocument("asides", key);
      }
    },
    current: (service) => live.get(keyOf(service))?.task,
    statuses: () => [...live.values()].map(statusOf),
    rollOut,
    async remove(service) {
      const key = keyOf(service);
      const found = live.get(key);
      store.removeDocument("services", key);
      live.delete(key);
      store.removeServiceStatus(service.namespace, service.stage);
      if (found === undefined) return;
      await publish();
      await retire(`${key}/removed`, found.task, found.replicas);
    },
    async stopAll() {
      const all = [...live.values()].flatMap((service) => service.replicas);
      await stopReplicas([...all, ...[...asides.values()].flat()]);
      for (const service of live.values()) saveStatus(service);
    },
  };

  /** New replicas first, then the switch, then drain and stop the old. */
  async function rollOut(
    task: ServiceTask,
    observer: TaskObserver,
    signal: AbortSignal,
  ): Promise<RollOutOutcome> {
    const key = keyOf({ namespace: task.namespace, stage: task.stage.name });
    const before = live.get(key);
    if (before?.task.runId === task.runId && before.task.node === task.node) return { kind: "serving" };
    const candidates = await startCandidates(key, task, observer);
    const started = await firstFailureOrAllReady(candidates, signal);
    if (started !== undefined) {
      await stopReplicas(candidates);
      store.removeDocument("asides", candidateKey(key, task));
      asides.delete(candidateKey(key, task));
      return started;
    }
    await switchTo(key, task, candidates, before);
    return { kind: "serving" };
  }

  async function startCandidates(
    key: string,
    task: ServiceTask,
    observer: TaskObserver,
  ): Promise<readonly Replica[]> {
    const aside = candidateKey(key, task);
    const left = store.document<AsideRecord>("asides", aside)?.replicas;
    const records = left ?? (await chooseReplicas(task));
    store.saveDocument("asides", aside, { task, replicas: records, role: "candidate" } satisfies AsideRecord);
    let replicas: readonly Replica[] = [];
    const onChange = (): void => {
      if (!asides.has(aside)) return;
      store.saveDocument("asides", aside, {
        task,
        replicas: replicas.map((replica) => replica.record()),
        role: "candidate",
      } satisfies AsideRecord);
    };
    replicas = records.map((record) =>
      keepAside(task, record, onChange, false, (reference) =>
        observer.log(`replica ${record.id}`, reference),
      ),
    );
    asides.set(aside, replicas);
    return replicas;
  }

  async function chooseReplicas(task: ServiceTask): Promise<readonly ReplicaRecord[]> {
    const taken = takenAddresses();
    const records: ReplicaRecord[] = [];
    for (let id = 1; id <= task.stage.replicas; id++) {
      const address = await addresses.choose(task.stage.port, taken);
      taken.add(address.host).add(addressKey(address));
      records.push({ id, address, starts: 0, target: address });
    }
    return records;
  }

  function takenAddresses(): Set<string> {
    const used = [...live.values()].flatMap((service) => [
      service.address,
      ...service.replicas.map((replica) => replica.record().address),
    ]);
    const aside = [...asides.values()].flat().map((replica) => replica.record().address);
    // On a machine with one loopback address the host is shared, and only host and port together are taken.
    return new Set(
      [...used, ...aside].flatMap((address) =>
        address.host === "127.0.0.1" ? [addressKey(address)] : [address.host, addressKey(address)],
      ),
    );
  }

  async function switchTo(
    key: string,
    task: ServiceTask,
    candidates: readonly Replica[],
    before: LiveService | undefined,
  ): Promise<void> {
    const address =
      before !== undefined && before.task.stage.port === task.stage.port
        ? before.address
        : await addresses.choose(task.stage.port, takenAddresses());
    if (before !== undefined) {
      saveAside(`${key}/retiring/${before.task.runId}`, before.task, before.replicas);
    }
    const service: LiveService = { task, address, replicas: candidates };
    live.set(key, service);
    saveService(key, service);
    asides.delete(candidateKey(key, task));
    store.removeDocument("asides", candidateKey(key, task));
    await publish();
    if (before !== undefined)
      await retire(`${key}/retiring/${before.task.runId}`, before.task, before.replicas);
  }

  /** Waits for what is in flight, then ends the processes and removes their files except the logs. */
  async function retire(aside: string, task: ServiceTask, replicas: readonly Replica[]): Promise<void> {
    saveAside(aside, task, replicas);
    await ingress.drain(
      replicas.map((replica) => replica.record().target),
      drainTime,
    );
    await stopReplicas(replicas);
    store.removeDocument("asides", aside);
  }

  function saveAside(aside: string, task: ServiceTask, replicas: readonly Replica[]): void {
    const records = replicas.map((replica) => replica.record());
    store.saveDocument("asides", aside, { task, replicas: records, role: "retiring" } satisfies AsideRecord);
  }

  function saveService(key: string, service: LiveService): void {
    const replicas = service.replicas.map((replica) => replica.record());
    store.saveDocument("services", key, {
      task: service.task,
      address: service.address,
      replicas,
    } satisfies ServiceRecord);
    saveStatus(service);
  }

  function saveStatus(service: LiveService): void {
    store.saveServiceStatus(statusOf(service));
  }

  /** A replica that gets requests: what changes about it is stored, and routed if it moved. */
  function keep(key: string, task: ServiceTask, record: ReplicaRecord, wasReady: boolean): Replica {
    return keepReplica(task, record, parts, {
      wasReady,
      onLog: () => {},
      onChange: () => onLiveChange(key, task),
    });
  }

  /** A replica that does not get requests (yet): once it does, its changes are those of a live one. */
  function keepAside(
    task: ServiceTask,
    record: ReplicaRecord,
    onChange: () => void,
    wasReady: boolean,
    onLog: (reference: string) => void = () => {},
  ): Replica {
    const key = keyOf({ namespace: task.namespace, stage: task.stage.name });
    return keepReplica(task, record, parts, {
      wasReady,
      onLog,
      onChange: () => {
        onChange();
        onLiveChange(key, task);
      },
    });
  }

  function onLiveChange(key: string, task: ServiceTask): void {
    const service = live.get(key);
    if (service === undefined || service.task.runId !== task.runId || service.replicas.length === 0) return;
    saveService(key, service);
  }

  /** Makes the world see what `live` says: names first, then routes, for a route without a name harms nobody. */
  async function publish(): Promise<void> {
    const services = [...live.values()];
    names.publish(
      services.map(({ task, address }) => ({
        namespace: task.namespace,
        stage: task.stage.name,
        port: task.stage.port,
        address,
      })),
    );
    await ingress.apply(services.map(routeOf));
    for (const service of services) saveStatus(service);
  }

  function statusOf({ task, address, replicas }: LiveService): ServiceStatus {
    const all = replicas.map((replica) => replica.status());
    const ready = all.filter(({ state }) => state === "ready").length;
    const crashing = replicas.some((replica) => replica.crashes() >= 5);
    const name = sanitisedName(task.stage.name);
    const route = task.stage.ingress ? `/${sanitisedName(task.namespace)}/${name}` : undefined;
    const base = ingress.publicUrl();
    const state =
      ready === all.length && ready > 0
        ? "serving"
        : crashing
          ? "crash-loop"
          : ready > 0
            ? "degraded"
            : all.every((replica) => replica.state === "stopped")
              ? "stopped"
              : "starting";
    return {
      namespace: task.namespace,
      deployment: task.deployment,
      stage: task.stage.name,
      name,
      release: task.release,
      runId: task.runId,
      gitUrl: task.commit.url,
      branch: task.commit.branch,
      commit: task.commit.shortHash,
      port: task.stage.port,
      wantedReplicas: task.stage.replicas,
      readyReplicas: ready,
      restarts: all.reduce((sum, { restarts }) => sum + restarts, 0),
      state,
      reason: state === "serving" ? undefined : `${ready} of ${all.length} replicas are ready`,
      internalUrl: `http://${name}:${task.stage.port}`,
      address: addressKey(address),
      ingressRoute: route,
      url: route === undefined || base === undefined ? undefined : `${base}${route}`,
      replicas: all,
    };
  }

  function routeOf({ task, address, replicas }: LiveService): Route {
    return {
      namespace: task.namespace,
      stage: sanitisedName(task.stage.name),
      rawStage: task.stage.name,
      release: String(task.release),
      ingress: task.stage.ingress,
      address,
      targets: replicas.map((replica) => replica.record().target),
    };
  }

  /** Undefined when all are ready. */
  async function firstFailureOrAllReady(
    replicas: readonly Replica[],
    signal: AbortSignal,
  ): Promise<Exclude<RollOutOutcome, { kind: "serving" }> | undefined> {
    const cancelled = new Promise<"cancelled">((resolve) => {
      if (signal.aborted) resolve("cancelled");
      signal.addEventListener("abort", () => resolve("cancelled"), { once: true });
    });
    const failed = replicas.map(async (replica) => {
      const first = await replica.firstStart;
      if (first.kind === "failed") throw new NotReady(first.reason, first.lastLines);
    });
    try {
      const end = await Promise.race([cancelled, Promise.all(failed).then(() => "ready" as const)]);
      return end === "cancelled" ? { kind: "cancelled" } : undefined;
    } catch (error) {
      if (!(error instanceof NotReady)) throw error;
      return { kind: "failed", reason: error.message, lastLines: error.lastLines };
    }
  }

  async function stopReplicas(replicas: readonly Replica[]): Promise<void> {
    await Promise.all(replicas.map((replica) => replica.stop()));
  }
}

class NotReady extends Error {
  readonly lastLines: readonly string[];
  constructor(reason: string, lastLines: readonly string[]) {
    super(reason);
    this.lastLines = lastLines;
  }
}

function keyOf({ namespace, stage }: ServiceName): string {
  return `${namespace}/${stage}`;
}

function candidateKey(key: string, task: ServiceTask): string {
  return `${key}/candidate/${task.runId}/${task.node}`;
}
