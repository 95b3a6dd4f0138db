import type { ServiceStatus, ServiceTask } from "../../core/run-state.ts";
import type { RollOutOutcome, ServiceName, TaskObserver } from "../../ports/engine.ts";
import { createAddressBook, keepsPortToItself } from "./address-book.ts";
import { type Address, addressKey } from "./addresses.ts";
import { chooseReplicas } from "./choose-replicas.ts";
import type { LocalEngineParts } from "./local-engine.ts";
import { endReplica, keepReplica, type Replica, type ReplicaRecord, replicaProcess } from "./replica.ts";
import { inRotation, isComingBack, type LiveService, routeOf, statusOf } from "./service-status.ts";

/** What is remembered of a service across restarts of the server. */
interface ServiceRecord {
  readonly task: ServiceTask;
  /** The stable address that its name resolves to; it stays as long as the service and its port do. */
  readonly address: Address;
  readonly replicas: readonly ReplicaRecord[];
}

/**
 * What is being started beside what serves, and what is to be stopped after it. It is on record before the switch and
 * until after it, so for a moment the same replicas are live too: then the live record is the one that counts.
 */
interface AsideRecord {
  readonly task: ServiceTask;
  readonly replicas: readonly ReplicaRecord[];
  readonly role: "candidate" | "retiring";
}

/** The service stages of this machine: kept alive, routed to, replaced without losing a request. */
export interface LocalServices {
  /** Takes up what an earlier server left: adopts what runs, starts what should run and does not. */
  takeUp(isUnfinished: (runId: string) => boolean): Promise<void>;
  /** Folders of the processes that are on record. */
  onRecord(): ReadonlySet<string>;
  current(service: ServiceName): ServiceTask | undefined;
  statuses(): readonly ServiceStatus[];
  /** Those that are brought back and are neither ready again yet nor have failed to be. */
  comingBack(): readonly ServiceName[];
  rollOut(task: ServiceTask, observer: TaskObserver, signal: AbortSignal): Promise<RollOutOutcome>;
  /** Returns when its processes are gone, those of earlier releases too. */
  remove(service: ServiceName): Promise<void>;
  /** Ends the replicas that an earlier server had begun to start for the run. */
  endCandidates(runId: string): Promise<void>;
  /** Ends all processes; what should run stays on record and comes back with the next server. */
  stopAll(): Promise<void>;
}

/** Milliseconds that requests in flight (and streams) get when their replica is replaced. */
const drainTime = 30_000;

export function createServices(parts: LocalEngineParts): LocalServices {
  const { store, ingress, names } = parts;
  const addresses = createAddressBook(parts.addresses, parts.random);
  const live = new Map<string, LiveService>();
  /** Replicas that are started or stopped now, by the key of their record. */
  const asides = new Map<string, readonly Replica[]>();
  /** What is drained and stopped in the background, by the same keys. */
  const leaving = new Map<string, Promise<void>>();
  let published: Promise<void> = Promise.resolve();
  let toldUrl = ingress.publicUrl();
  let stopping = false;

  return {
    async takeUp(isUnfinished) {
      for (const [key, record] of store.documents<ServiceRecord>("services")) {
        addresses.add([record.address, ...record.replicas.map(({ address }) => address)]);
        const service: LiveService = { task: record.task, address: record.address, replicas: [] };
        live.set(key, service);
        service.replicas = record.replicas.map((replica) => keep(record.task, replica, { wasReady: true }));
      }
      await publish();
      for (const [aside, record] of store.documents<AsideRecord>("asides"))
        takeUpAside(aside, record, isUnfinished);
    },
    onRecord() {
      const records = [
        ...store.documents<ServiceRecord>("services").values(),
        ...store.documents<AsideRecord>("asides").values(),
      ];
      return new Set(
        records.flatMap(({ task, replicas }) =>
          replicas.map((replica) => replicaProcess(task, replica, parts)),
        ),
      );
    },
    current: (service) => live.get(keyOf(service))?.task,
    statuses: () => [...live.values()].map((service) => statusOf(service, ingress.publicUrl())),
    comingBack: () =>
      [...live.values()]
        .filter(isComingBack)
        .map(({ task }) => ({ namespace: task.namespace, stage: task.stage.name })),
    rollOut,
    async remove(service) {
      const key = keyOf(service);
      const found = live.get(key);
      if (found !== undefined) {
        const aside = retiringKey(key, found);
        saveAside(aside, found.task, found.replicas, "retiring");
        store.removeDocument("services", key);
        live.delete(key);
        store.removeServiceStatus(service.namespace, service.stage);
        await publish();
        retire(aside, found.replicas);
      }
      await Promise.all(
        [...leaving].filter(([aside]) => aside.startsWith(`${key}/`)).map(([, done]) => done),
      );
    },
    async endCandidates(runId) {
      const left = [...store.documents<AsideRecord>("asides")].filter(
        ([aside, { task, role }]) => role === "candidate" && task.runId === runId && !asides.has(aside),
      );
      await Promise.all(left.map(([aside, record]) => endLeft(aside, record)));
    },
    async stopAll() {
      stopping = true;
      const all = [...live.values()].flatMap((service) => service.replicas);
      await stopReplicas([...all, ...[...asides.values()].flat()]);
      for (const service of live.values()) saveStatus(service);
    },
  };

  /** New replicas first, then the switch; the old are drained and stopped while the run goes on. */
  async function rollOut(
    task: ServiceTask,
    observer: TaskObserver,
    signal: AbortSignal,
  ): Promise<RollOutOutcome> {
    const key = keyOf({ namespace: task.namespace, stage: task.stage.name });
    const before = live.get(key);
    if (before?.task.runId === task.runId && before.task.node === task.node) return { kind: "serving" };
    const aside = candidateKey(key, task);
    await leaving.get(aside);
    const candidates = await startCandidates(aside, task, before, observer);
    try {
      const problem = await firstFailureOrAllReady(candidates, signal);
      if (problem !== undefined) {
        const told = withWrongPorts(problem, task, candidates);
        await dropCandidates(aside, candidates);
        return told;
      }
      await switchTo(key, task, candidates, before);
      tellWhereIngressIs(observer);
    } catch (error) {
      await dropCandidates(aside, candidates);
      throw error;
    }
    asides.delete(aside);
    store.removeDocument("asides", aside);
    return { kind: "serving" };
  }

  /** Once, by the first roll-out after it was opened somewhere else. */
  function tellWhereIngressIs(observer: TaskObserver): void {
    if (ingress.publicUrl() === toldUrl) return;
    toldUrl = ingress.publicUrl();
    const note = ingress.note();
    if (note !== undefined) observer.note("warning", note);
  }

  async function startCandidates(
    aside: string,
    task: ServiceTask,
    before: LiveService | undefined,
    observer: TaskObserver,
  ): Promise<readonly Replica[]> {
    const left = store.document<AsideRecord>("asides", aside)?.replicas;
    const records = left ?? (await chooseNew(task, before));
    let replicas: readonly Replica[] = [];
    replicas = records.map((record) =>
      keep(task, record, {
        onChange: () => {
          if (asides.has(aside)) saveAside(aside, task, replicas, "candidate");
        },
        onLog: (reference) => observer.log(`replica ${record.id}`, reference),
      }),
    );
    asides.set(aside, replicas);
    return replicas;
  }

  async function chooseNew(
    task: ServiceTask,
    before: LiveService | undefined,
  ): Promise<readonly ReplicaRecord[]> {
    try {
      return await chooseReplicas(task, parts.layout, addresses);
    } catch (error) {
      const elsewhere = before?.replicas
        .map((replica) => replica.record())
        .find(({ address, target }) => addressKey(address) !== addressKey(target));
      if (elsewhere === undefined) throw error;
      throw keepsPortToItself(task.stage.name, elsewhere.target, error);
    }
  }

  async function dropCandidates(aside: string, candidates: readonly Replica[]): Promise<void> {
    await stopReplicas(candidates);
    asides.delete(aside);
    store.removeDocument("asides", aside);
  }

  async function switchTo(
    key: string,
    task: ServiceTask,
    candidates: readonly Replica[],
    before: LiveService | undefined,
  ): Promise<void> {
    const samePort = before?.task.stage.port === task.stage.port;
    const address = samePort ? before.address : await addresses.forService(task.stage.port);
    const retiring = before === undefined ? undefined : retiringKey(key, before);
    const service: LiveService = { task, address, replicas: candidates };
    try {
      if (before !== undefined && retiring !== undefined) {
        saveAside(retiring, before.task, before.replicas, "retiring");
      }
      saveService(key, service);
      live.set(key, service);
      await publish();
    } catch (error) {
      // Nobody was told of the new ones: what served goes on.
      if (before === undefined) {
        live.delete(key);
        store.removeDocument("services", key);
        store.removeServiceStatus(task.namespace, task.stage.name);
      } else {
        live.set(key, before);
        saveService(key, before);
      }
      if (retiring !== undefined) store.removeDocument("asides", retiring);
      throw error;
    }
    if (before !== undefined && retiring !== undefined) retire(retiring, before.replicas);
  }

  /** Waits for what is in flight, then ends the processes and removes their files except the logs. */
  function retire(aside: string, replicas: readonly Replica[]): void {
    asides.set(aside, replicas);
    leave(
      aside,
      drain(replicas.map((replica) => replica.record())).then(() => dropCandidates(aside, replicas)),
    );
  }

  function drain(replicas: readonly ReplicaRecord[]): Promise<void> {
    return ingress.drain(
      replicas.map(({ target }) => target),
      drainTime,
    );
  }

  /** Lets something go on in the background; what goes wrong with it is done again by the next server. */
  function leave(aside: string, work: Promise<void>): void {
    leaving.set(
      aside,
      work.catch(() => {}).finally(() => leaving.delete(aside)),
    );
  }

  function takeUpAside(
    aside: string,
    { task, replicas, role }: AsideRecord,
    isUnfinished: (runId: string) => boolean,
  ): void {
    addresses.add(replicas.map(({ address }) => address));
    // The run that started a candidate goes on with it, or ends it.
    if (role === "candidate" && isUnfinished(task.runId) && !isLive(task, replicas)) return;
    if (isLive(task, replicas)) {
      store.removeDocument("asides", aside);
    } else {
      const drained = role === "retiring" ? drain(replicas) : Promise.resolve();
      leave(
        aside,
        drained.then(() => endLeft(aside, { task, replicas, role })),
      );
    }
  }

  /** The server died in the middle of a switch, before or after the moment that counts. */
  function isLive(task: ServiceTask, replicas: readonly ReplicaRecord[]): boolean {
    const service = live.get(keyOf({ namespace: task.namespace, stage: task.stage.name }));
    const addressesOfLive = new Set(
      service?.replicas.map((replica) => addressKey(replica.record().address)) ?? [],
    );
    return replicas.some(({ address }) => addressesOfLive.has(addressKey(address)));
  }

  /** Ends replicas that only their record knows. */
  async function endLeft(aside: string, { task, replicas }: AsideRecord): Promise<void> {
    await Promise.all(replicas.map((replica) => endReplica(task, replica, parts)));
    store.removeDocument("asides", aside);
  }

  function saveAside(
    aside: string,
    task: ServiceTask,
    replicas: readonly Replica[],
    role: AsideRecord["role"],
  ): void {
    const records = replicas.map((replica) => replica.record());
    store.saveDocument("asides", aside, { task, replicas: records, role } satisfies AsideRecord);
  }

  function saveService(key: string, service: LiveService): void {
    const replicas = service.replicas.map((replica) => replica.record());
    const { task, address } = service;
    store.saveDocument("services", key, { task, address, replicas } satisfies ServiceRecord);
    saveStatus(service);
  }

  function saveStatus(service: LiveService): void {
    store.saveServiceStatus(statusOf(service, ingress.publicUrl()));
  }

  /** Once it gets requests, what changes about it is stored as the service's, and routed. */
  function keep(
    task: ServiceTask,
    record: ReplicaRecord,
    options: {
      readonly wasReady?: boolean;
      readonly onChange?: () => void;
      readonly onLog?: (reference: string) => void;
    },
  ): Replica {
    const replica: Replica = keepReplica(task, record, parts, {
      wasReady: options.wasReady ?? false,
      onLog: options.onLog ?? (() => {}),
      onChange() {
        options.onChange?.();
        const key = keyOf({ namespace: task.namespace, stage: task.stage.name });
        const service = live.get(key);
        if (service?.replicas.includes(replica) === true) onLiveChange(key, service);
      },
    });
    return replica;
  }

  function onLiveChange(key: string, service: LiveService): void {
    saveService(key, service);
    const routed = inRotation(service).map(addressKey).join();
    // What can't be applied now is applied with the next change.
    if (!stopping && routed !== service.routed) void publish().catch(() => {});
  }

  /** Makes the world see what `live` says, one change after the other. */
  function publish(): Promise<void> {
    published = published.catch(() => {}).then(applyLive);
    return published;
  }

  /** Names first, then routes, for a name without a route harms nobody. */
  async function applyLive(): Promise<void> {
    const services = [...live.values()];
    names.publish(
      services.map(({ task, address }) => ({
        namespace: task.namespace,
        stage: task.stage.name,
        port: task.stage.port,
        address,
      })),
    );
    for (const service of services) service.routed = inRotation(service).map(addressKey).join();
    await ingress.apply(services.map(routeOf));
    for (const service of services) saveStatus(service);
  }
}

type Problem = Exclude<RollOutOutcome, { kind: "serving" }>;

/** Undefined when all are ready. */
async function firstFailureOrAllReady(
  replicas: readonly Replica[],
  signal: AbortSignal,
): Promise<Problem | undefined> {
  const { promise: cancelled, resolve: cancel } = Promise.withResolvers<{ readonly kind: "cancelled" }>();
  const onAbort = (): void => cancel({ kind: "cancelled" });
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort);
  const never = new Promise<never>(() => {});
  const starts = replicas.map((replica) => replica.firstStart);
  const failures = starts.map((start) => start.then((first) => (first.kind === "failed" ? first : never)));
  const allReady = Promise.all(starts).then((all) => all.find((first) => first.kind === "failed"));
  try {
    return await Promise.race([cancelled, ...failures, allReady]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** The first replica on a wrong port has it, and those that end because it is taken can't say why. */
function withWrongPorts(problem: Problem, { stage }: ServiceTask, replicas: readonly Replica[]): Problem {
  const found = replicas.find((replica) => replica.wrongPort() !== undefined);
  const where = found?.wrongPort();
  if (problem.kind !== "failed" || found === undefined || where === undefined) return problem;
  if (problem.reason.includes(where)) return problem;
  const reason = `${problem.reason}; replica ${found.record().id} listened on ${where} and not on port ${stage.port}`;
  return { ...problem, reason };
}

async function stopReplicas(replicas: readonly Replica[]): Promise<void> {
  await Promise.all(replicas.map((replica) => replica.stop()));
}

function keyOf({ namespace, stage }: ServiceName): string {
  return `${namespace}/${stage}`;
}

function candidateKey(key: string, task: ServiceTask): string {
  return `${key}/candidate/${task.runId}/${task.node}`;
}

/** Its first address is nobody else's. */
function retiringKey(key: string, { task, replicas }: LiveService): string {
  const [first] = replicas;
  return `${key}/retiring/${first === undefined ? task.runId : addressKey(first.record().address)}`;
}
