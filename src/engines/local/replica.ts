import { rm } from "node:fs/promises";
import { join } from "node:path";

import type { ReplicaStatus, ServiceTask } from "../../core/run-state.ts";
import type { Address } from "./addresses.ts";
import type { LocalEngineParts } from "./local-engine.ts";
import { lastLines } from "./processes/follow-log.ts";
import type { ProcessExit, RunningProcess } from "./processes/processes.ts";
import { checkReadiness, connects } from "./readiness.ts";
import { restartDelay } from "./restart-delay.ts";
import { exitReason } from "./run-batch.ts";
import { commandOf } from "./stage-command.ts";
import { prepareWorkspace, stageVariables } from "./workspace.ts";

/** What is remembered of a replica across restarts of the server. */
export interface ReplicaRecord {
  /** From 1. */
  readonly id: number;
  readonly address: Address;
  /** How often its program was started; each start has a folder of its own. */
  readonly starts: number;
  /** Where requests go: its address, or where it was found to listen. */
  readonly target: Address;
}

/** How the first start of a replica went. */
export type FirstStart =
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly reason: string; readonly lastLines: readonly string[] };

/**
 * One process of a service, kept alive: restarted with growing delays when it ends, and when it stops accepting
 * connections (three probes, ten seconds apart, as the original's liveness probe does).
 */
export interface Replica {
  record(): ReplicaRecord;
  status(): ReplicaStatus;
  /** Crashes since it last was well for ten minutes. */
  crashes(): number;
  /** Settles once: ready, or given up on. After that it is kept alive until `stop`. */
  readonly firstStart: Promise<FirstStart>;
  stop(): Promise<void>;
}

const livenessPeriod = 10_000;
const livenessFailures = 3;
/** A program that ends this often before it was ever ready is not waited for any longer. */
const startCrashes = 3;
const wellAfter = 10 * 60_000;
/** Seconds a program has between SIGTERM and SIGKILL. */
const graceSeconds = 30;
const keptLines = 20;

export function keepReplica(
  task: ServiceTask,
  initial: ReplicaRecord,
  parts: LocalEngineParts,
  options: {
    /** True for what served before the server started: its first start is behind it. */
    readonly wasReady: boolean;
    /** Called whenever the record or the status has changed. */
    readonly onChange: () => void;
    readonly onLog: (reference: string) => void;
  },
): Replica {
  let record = initial;
  let state: ReplicaStatus["state"] = "starting";
  let running: RunningProcess | undefined;
  let crashes = 0;
  let everReady = options.wasReady;
  const stopped = new AbortController();
  const { promise: firstStart, resolve: settle } = Promise.withResolvers<FirstStart>();
  if (options.wasReady) settle({ kind: "ready" });
  const folder = (): string =>
    join(parts.layout.replicaFolder(task.runId, task.node, record.id), `start-${record.starts}`);
  const change = (next: Partial<ReplicaRecord>, nextState: ReplicaStatus["state"]): void => {
    record = { ...record, ...next };
    state = nextState;
    options.onChange();
  };

  const life = live();
  return {
    record: () => record,
    status: () => ({
      id: String(record.id),
      state,
      pid: running?.identity.pid,
      address: `${record.target.host}:${record.target.port}`,
      restarts: Math.max(0, record.starts - 1),
      startedAt: running?.startedAt.toISOString(),
      log: parts.logReference(join(folder(), "process", "log")),
    }),
    crashes: () => crashes,
    firstStart,
    async stop() {
      stopped.abort();
      await running?.stop({ graceMs: graceSeconds * 1000 });
      await life;
      await rm(join(folder(), "work"), { recursive: true, force: true });
      change({}, "stopped");
    },
  };

  async function live(): Promise<void> {
    const deadline = parts.clock.monotonic() + task.stage.maxStartupTimeSeconds * 1000;
    while (!stopped.signal.aborted) {
      try {
        running = await startOrAdopt();
        const exit = await watch(running, everReady ? Number.POSITIVE_INFINITY : deadline);
        if (stopped.signal.aborted) return;
        await handleEnd(exit, running);
      } catch (error) {
        if (stopped.signal.aborted) return;
        await giveUpOrWait(error instanceof Error ? error.message : String(error), []);
      }
    }
  }

  async function startOrAdopt(): Promise<RunningProcess> {
    if (record.starts > 0) {
      const adopted = await parts.processes.adopt(join(folder(), "process"));
      if (adopted !== undefined) {
        options.onLog(parts.logReference(adopted.logFile));
        return adopted;
      }
    }
    return start();
  }

  async function start(): Promise<RunningProcess> {
    change({ starts: record.starts + 1 }, "starting");
    const workspace = await prepareWorkspace(
      task,
      join(folder(), "work"),
      parts.source,
      parts.artifacts,
      stopped.signal,
    );
    const prefix = await parts.names.privateHostsPrefix(task.namespace, "service");
    stopped.signal.throwIfAborted();
    const started = await parts.processes.start({
      folder: join(folder(), "process"),
      nonce: parts.newNonce(),
      command: commandOf(
        task.stage,
        task.environment.python,
        workspace.module,
        parts.notebookRunner,
        folder(),
      ),
      cwd: workspace.folder,
      env: {
        ...stageVariables(task, workspace, parts.machine),
        ...parts.names.variables(task.namespace, { port: task.stage.port, address: record.address }),
      },
      ...(prefix.length === 0 ? {} : { prefix }),
    });
    options.onLog(parts.logReference(started.logFile));
    return started;
  }

  /** Until it ends, by itself or because it was found dead; throws when it can never be used. */
  async function watch(process: RunningProcess, deadline: number): Promise<ProcessExit> {
    let exit: ProcessExit | undefined;
    void process.exited.then((ended) => {
      exit = ended;
    });
    const ended = new AbortController();
    void process.exited.then(() => ended.abort());
    const either = AbortSignal.any([ended.signal, stopped.signal]);
    const pause = (milliseconds: number): Promise<void> =>
      parts.clock.sleep(milliseconds, either).catch(() => {});

    let wait = 15;
    let ready = false;
    let reason = "has just been started";
    while (exit === undefined && !stopped.signal.aborted && !ready) {
      const readiness = await checkReadiness(process.pids(), record.address, task.stage);
      if (readiness.kind === "ready") {
        ready = true;
        everReady = true;
        change({ target: readiness.target }, "ready");
        settle({ kind: "ready" });
      } else {
        reason = readiness.reason;
        if (readiness.kind === "elsewhere" || parts.clock.monotonic() > deadline) {
          settle({
            kind: "failed",
            reason:
              readiness.kind === "elsewhere"
                ? reason
                : `was not ready within ${task.stage.maxStartupTimeSeconds} s: ${reason}`,
            lastLines: await lastLines(process.logFile, keptLines),
          });
          stopped.abort();
        } else {
          await pause(wait);
          wait = Math.min(250, wait * 1.3);
        }
      }
    }
    const readySince = parts.clock.monotonic();
    let failures = 0;
    while (exit === undefined && !stopped.signal.aborted) {
      await pause(livenessPeriod);
      if (exit !== undefined || stopped.signal.aborted) break;
      failures = (await connects(record.target)) === undefined ? 0 : failures + 1;
      if (parts.clock.monotonic() - readySince > wellAfter) crashes = 0;
      if (failures >= livenessFailures) return process.stop({ graceMs: graceSeconds * 1000 });
    }
    return stopped.signal.aborted ? process.stop({ graceMs: graceSeconds * 1000 }) : process.exited;
  }

  async function handleEnd(exit: ProcessExit, process: RunningProcess): Promise<void> {
    running = undefined;
    await rm(join(folder(), "work"), { recursive: true, force: true });
    const how = exit.kind === "lost" ? "was lost" : `ended (${exitReason(exit)})`;
    await giveUpOrWait(how, await lastLines(process.logFile, keptLines));
  }

  async function giveUpOrWait(how: string, lines: readonly string[]): Promise<void> {
    crashes += 1;
    if (!everReady && crashes >= startCrashes) {
      settle({ kind: "failed", reason: `${how} before it was ready, ${crashes} times`, lastLines: lines });
      stopped.abort();
      return;
    }
    change({}, "waiting-to-restart");
    await parts.clock.sleep(restartDelay(crashes, everReady, parts.random), stopped.signal).catch(() => {});
  }
}
