import { sanitisedName } from "../../src/core/naming.ts";
import type { BatchTask, ServiceStatus, ServiceTask } from "../../src/core/run-state.ts";
import type {
  BatchOutcome,
  Engine,
  LogReader,
  RollOutOutcome,
  TaskObserver,
} from "../../src/ports/engine.ts";

/** How a stage behaves, by the file name of its module; what no test says succeeds. */
export type Behaviour =
  | { readonly does: "succeed"; readonly outputs?: BatchOutcome & { kind: "succeeded" } }
  | { readonly does: "fail"; readonly reason: string; readonly lastLines?: readonly string[] }
  /** Goes on until it is ended. A service never gets ready. */
  | { readonly does: "hang" }
  /** Waits until `release` is called with its module. */
  | { readonly does: "wait" };

type Decide = (task: BatchTask | ServiceTask) => Behaviour;

/**
 * A machine without processes: what runs and what serves outlives the engines (the servers) that look after it, as on a
 * true one. An engine that is cut off does nothing any more and hears nothing.
 */
export interface FakeMachine {
  connect(): FakeEngine;
  /** What happened, in order: `start train/1`, `end train/1 succeeded`, `serve serve r2`, `remove serve`. */
  readonly ledger: string[];
  /** How stages behave from now on, by stage name. */
  readonly behaviours: Map<string, Behaviour | Decide>;
  /** Lets a stage that waits go on, now or when it comes to it. */
  release(stage: string): void;
  /** Resolves when the ledger has a line that begins with the text. */
  happened(text: string): Promise<void>;
  /** Attempts and candidates that still run. */
  running(): readonly string[];
  /** The same by `run/node/number`, and `run/node/candidate`. */
  runningKeys(): readonly string[];
  /** By the same keys: times started. */
  starts(): ReadonlyMap<string, number>;
  /** Most attempts that ran at one time. */
  mostAtOnce(): number;
  live(): readonly ServiceTask[];
  clone(): FakeMachine;
}

export interface FakeEngine extends Engine {
  /** As if its process had been killed. */
  cutOff(): void;
}

interface Running {
  readonly name: string;
  readonly behaviour: Behaviour;
  readonly end: (outcome: BatchOutcome) => void;
  readonly ended: Promise<BatchOutcome>;
}

export function fakeMachine(liveAtFirst: ReadonlyMap<string, ServiceTask> = new Map()): FakeMachine {
  const ledger: string[] = [];
  const behaviours = new Map<string, Behaviour | Decide>();
  const live = new Map(liveAtFirst);
  const running = new Map<string, Running>();
  const finished = new Map<string, BatchOutcome>();
  const starts = new Map<string, number>();
  const waiters = new Set<() => void>();
  const released = new Set<string>();
  let mostAtOnce = 0;
  const note = (text: string): void => {
    ledger.push(text);
    for (const waiter of waiters) waiter();
  };
  const behaviourOf = (task: BatchTask | ServiceTask): Behaviour => {
    const found = behaviours.get(task.stage.name) ?? { does: "succeed" };
    return typeof found === "function" ? found(task) : found;
  };

  /** Starts it, unless it runs already. */
  const begin = (key: string, name: string, task: BatchTask | ServiceTask): Running => {
    const known = running.get(key);
    if (known !== undefined) return known;
    const behaviour = behaviourOf(task);
    const { promise: ended, resolve } = Promise.withResolvers<BatchOutcome>();
    const end = (outcome: BatchOutcome): void => {
      if (!running.delete(key)) return;
      if ("attempt" in task) finished.set(key, outcome);
      note(`end ${name} ${outcome.kind}`);
      resolve(outcome);
    };
    const begun: Running = { name, behaviour, end, ended };
    running.set(key, begun);
    starts.set(key, (starts.get(key) ?? 0) + 1);
    mostAtOnce = Math.max(mostAtOnce, running.size);
    note(`start ${name}`);
    if (behaviour.does === "wait") {
      if (released.has(task.stage.name)) setImmediate(() => end({ kind: "succeeded", outputs: [] }));
    } else if (behaviour.does !== "hang") {
      setImmediate(() => end(endOf(behaviour)));
    }
    return begun;
  };

  return {
    ledger,
    behaviours,
    connect,
    release(stage) {
      released.add(stage);
      for (const { name, behaviour, end } of [...running.values()]) {
        if (behaviour.does === "wait" && name.startsWith(stage)) end({ kind: "succeeded", outputs: [] });
      }
    },
    happened: (text) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!ledger.some((line) => line.startsWith(text))) return;
          waiters.delete(look);
          resolve();
        };
        waiters.add(look);
        look();
      }),
    running: () => [...running.values()].map(({ name }) => name),
    runningKeys: () => [...running.keys()],
    starts: () => starts,
    mostAtOnce: () => mostAtOnce,
    live: () => [...live.values()],
    clone() {
      const copy = fakeMachine(live);
      for (const [stage, behaviour] of behaviours) copy.behaviours.set(stage, behaviour);
      return copy;
    },
  };

  function connect(): FakeEngine {
    let dead = false;
    const cut = new Promise<never>(() => {});
    const unlessDead = async <T>(work: Promise<T>): Promise<T> => {
      const result = await work;
      return dead ? cut : result;
    };
    const onAbort = (signal: AbortSignal, end: () => void): void => {
      const heard = (): void => {
        if (!dead) end();
      };
      if (signal.aborted) heard();
      else signal.addEventListener("abort", heard, { once: true });
    };

    return {
      kind: "local",
      cutOff() {
        dead = true;
      },
      prepare: async () => (dead ? cut : {}),
      async leaveNamespace() {
        if (dead) await cut;
      },
      async runBatch(task, observer, signal) {
        if (dead) return cut;
        const key = `${task.runId}/${task.node}/${task.attempt}`;
        const before = finished.get(key);
        observer.log(`attempt ${task.attempt}`, `log of ${key}`);
        if (before !== undefined) return unlessDead(Promise.resolve(before));
        if (signal.aborted && !running.has(key)) return { kind: "cancelled" };
        const { ended, end } = begin(key, `${task.node}/${task.attempt}`, task);
        onAbort(signal, () => end({ kind: "cancelled" }));
        return unlessDead(ended);
      },
      async rollOut(task, observer, signal) {
        if (dead) return cut;
        return unlessDead(rollOut(task, observer, signal, onAbort, () => dead));
      },
      async removeService({ namespace, stage }) {
        if (dead) return cut;
        await unlessDead(Promise.resolve());
        if (live.delete(`${namespace}/${stage}`)) note(`remove ${stage}`);
      },
      currentTask: ({ namespace, stage }) => live.get(`${namespace}/${stage}`),
      services: () => [...live.values()].map(statusOf),
      async endRun(runId) {
        if (dead) return cut;
        for (const [key, { end }] of [...running]) {
          if (key.startsWith(`${runId}/`)) end({ kind: "cancelled" });
        }
      },
      async removeRun(runId) {
        if (dead) return cut;
        note(`forget ${runId}`);
      },
    };
  }

  async function rollOut(
    task: ServiceTask,
    observer: TaskObserver,
    signal: AbortSignal,
    onAbort: (signal: AbortSignal, end: () => void) => void,
    isDead: () => boolean,
  ): Promise<RollOutOutcome> {
    const service = `${task.namespace}/${task.stage.name}`;
    const current = live.get(service);
    if (current?.runId === task.runId && current.node === task.node) return { kind: "serving" };
    const key = `${task.runId}/${task.node}/candidate`;
    observer.log("replica 1", `log of ${key}`);
    const { ended, end } = begin(key, `${task.node} candidate r${task.release}`, task);
    onAbort(signal, () => end({ kind: "cancelled" }));
    const outcome = await ended;
    if (outcome.kind === "cancelled") return outcome;
    if (outcome.kind !== "succeeded") return { ...outcome, kind: "failed" };
    if (isDead()) return { kind: "cancelled" };
    live.set(service, task);
    note(`serve ${task.stage.name} r${task.release}`);
    return { kind: "serving" };
  }
}

function endOf(behaviour: Exclude<Behaviour, { does: "hang" | "wait" }>): BatchOutcome {
  if (behaviour.does === "succeed") return behaviour.outputs ?? { kind: "succeeded", outputs: [] };
  return { kind: "failed", reason: behaviour.reason, lastLines: behaviour.lastLines ?? [] };
}

function statusOf(task: ServiceTask): ServiceStatus {
  const { stage, namespace, deployment, release, runId, commit } = task;
  return {
    namespace,
    deployment,
    stage: stage.name,
    name: sanitisedName(stage.name),
    release,
    runId,
    gitUrl: commit.url,
    branch: commit.branch,
    commit: commit.shortHash,
    port: stage.port,
    wantedReplicas: stage.replicas,
    readyReplicas: stage.replicas,
    restarts: 0,
    state: "serving",
    reason: undefined,
    internalUrl: `http://${stage.name}:${stage.port}`,
    address: undefined,
    ingressRoute: undefined,
    url: undefined,
    replicas: [],
  };
}

/** Every log is one line that names it. */
export const fakeLogs: LogReader = {
  async *read(reference) {
    yield `${reference}\n`;
  },
};
