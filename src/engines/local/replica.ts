import { rm } from "node:fs/promises";
import { join } from "node:path";

import { asFailure } from "../../core/failure.ts";
import type { ReplicaStatus, ServiceTask } from "../../core/run-state.ts";
import { type Address, addressKey } from "./addresses.ts";
import type { LocalEngineParts } from "./local-engine.ts";
import { lastLines } from "./processes/follow-log.ts";
import { processTable } from "./processes/process-table.ts";
import type { RunningProcess } from "./processes/processes.ts";
import { checkReadiness, connects, staysSilent } from "./readiness.ts";
import { restartDelay } from "./restart-delay.ts";
import { revealSecrets } from "./reveal-secrets.ts";
import { exitReason } from "./run-batch.ts";
import { commandOf } from "./stage-command.ts";
import { prepareWorkspace, stageVariables } from "./workspace.ts";

/** What is remembered of a replica across restarts of the server. */
export interface ReplicaRecord {
  /** From 1. */
  readonly id: number;
  readonly address: Address;
  /** Number of the last start of its program; each has a folder of its own. */
  readonly starts: number;
  /** Starts before this life of the replica: while its release was live before, or before everything was stopped. */
  readonly startsBefore: number;
  /** Where requests go: its address, or where it was found to listen. */
  readonly target: Address;
}

/** How the first start of a replica went. */
export type FirstStart =
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly reason: string; readonly lastLines: readonly string[] };

/**
 * One process of a service, kept alive: restarted with growing delays when it ends, when it is not ready in time after a
 * restart, and when it stops accepting connections (three probes, ten seconds apart, as the original's liveness probe
 * does). The system accepts for a program that hangs, so one with a health path must answer it too: with anything, three
 * times within ten seconds. That is patient, for a busy program may answer nothing else while it is at work.
 */
export interface Replica {
  record(): ReplicaRecord;
  status(): ReplicaStatus;
  /** Crashes since it last was well for ten minutes. */
  crashes(): number;
  /** What is wrong with it, in words, how it ended last above all; undefined when it is well or nothing is known yet. */
  problem(): string | undefined;
  /** `HOST:PORT` where it was seen to listen before it was ever ready, when that is another port than it should. */
  wrongPort(): string | undefined;
  /** Settles once: ready, or given up on. After that it is kept alive until `stop`. */
  readonly firstStart: Promise<FirstStart>;
  stop(): Promise<void>;
}

const livenessPeriod = 10_000;
const livenessFailures = 3;
const silenceTime = 10_000;
/** A program that ends this often before it was ever ready is not waited for any longer. */
const startCrashes = 3;
const wellAfter = 10 * 60_000;
/** Seconds a program has between SIGTERM and SIGKILL. */
const graceSeconds = 30;
/** Lines of its log that are told when it fails. */
const keptLines = 20;
/** Starts whose logs are kept. */
const keptStarts = 10;

export function keepReplica(
  task: ServiceTask,
  initial: ReplicaRecord,
  parts: LocalEngineParts,
  options: {
    /** True for what served before the server started: its first start is behind it. */
    readonly wasReady: boolean;
    /** Called whenever the record, the status or the problem has changed; stores the record. */
    readonly onChange: () => void;
    readonly onLog: (reference: string) => void;
  },
): Replica {
  let record = initial;
  let state: ReplicaStatus["state"] = "starting";
  let running: RunningProcess | undefined;
  let crashes = 0;
  let problem: string | undefined;
  let wrongPort: string | undefined;
  /** Milliseconds between the last end and the next start. */
  let delay = 0;
  let everReady = options.wasReady;
  /** An earlier server may have started it; how that one ended, if it has, is found out once. */
  let mayBeLeft = initial.starts > initial.startsBefore;
  const stopped = new AbortController();
  const startUpTime = task.stage.maxStartupTimeSeconds * 1000;
  const { promise: firstStart, resolve: settle } = Promise.withResolvers<FirstStart>();
  if (options.wasReady) settle({ kind: "ready" });
  const folder = (start = record.starts): string => startFolder(task, record, start, parts);
  const tell = (): void => {
    try {
      options.onChange();
    } catch {
      // A store that refuses (a full disk) must not end the service; what is true is stored with the next change.
    }
  };

  // Not at once: whoever asked for the replica has to have it before it changes.
  const life = Promise.resolve().then(live);
  return {
    record: () => record,
    status: () => ({
      id: String(record.id),
      state,
      pid: running?.identity.pid,
      address: addressKey(record.target),
      // The start that it waits for is one: it is told with the ends in a row, and must be as many.
      restarts: Math.max(0, record.starts - record.startsBefore - (state === "waiting-to-restart" ? 0 : 1)),
      startedAt: running?.startedAt.toISOString(),
      log: parts.logReference(join(folder(), "process", "log")),
    }),
    crashes: () => crashes,
    problem: () =>
      state === "waiting-to-restart"
        ? `${problem}; next start after ${Math.max(1, Math.round(delay / 1000))} s`
        : problem,
    wrongPort: () => wrongPort,
    firstStart,
    async stop() {
      stopped.abort();
      await running?.stop({ graceMs: graceSeconds * 1000 });
      await life;
      running = undefined;
      await rm(join(folder(), "work"), { recursive: true, force: true });
      record = { ...record, startsBefore: record.starts };
      state = "stopped";
      tell();
    },
  };

  async function live(): Promise<void> {
    const firstDeadline = parts.clock.monotonic() + startUpTime;
    do {
      try {
        running = await startOrAdopt();
        const deadline = everReady ? parts.clock.monotonic() + startUpTime : firstDeadline;
        const how = await watch(running, deadline);
        if (stopped.signal.aborted) return;
        const { logFile } = running;
        running = undefined;
        await rm(join(folder(), "work"), { recursive: true, force: true });
        await giveUpOrWait(how, await lastLines(logFile, keptLines));
      } catch (error) {
        if (stopped.signal.aborted) return;
        await giveUpOrWait(`could not be started: ${asFailure(error).message}`, []);
      }
    } while (!stopped.signal.aborted);
  }

  async function startOrAdopt(): Promise<RunningProcess> {
    const left = mayBeLeft ? await parts.processes.adopt(join(folder(), "process")) : undefined;
    mayBeLeft = false;
    const wentWithMachine = left !== undefined && left.identity.boot !== processTable.boot;
    if (wentWithMachine) {
      // No crash of its own: it begins anew, as after everything was stopped.
      await rm(join(folder(), "work"), { recursive: true, force: true });
      record = { ...record, startsBefore: record.starts };
    }
    const process = left === undefined || wentWithMachine ? await start() : left;
    options.onLog(parts.logReference(process.logFile));
    return process;
  }

  async function start(): Promise<RunningProcess> {
    stopped.signal.throwIfAborted();
    record = { ...record, starts: record.starts + 1 };
    state = "starting";
    // What is not stored must not be started: the next server would not know of it.
    options.onChange();
    await rm(folder(record.starts - keptStarts), { recursive: true, force: true });
    const workspace = await prepareWorkspace(
      task,
      join(folder(), "work"),
      parts.source,
      parts.artifacts,
      stopped.signal,
    );
    const prefix = await parts.names.privateHostsPrefix(task.namespace, "service");
    stopped.signal.throwIfAborted();
    const secrets = revealSecrets(task, parts.secrets);
    return parts.processes.start({
      folder: join(folder(), "process"),
      nonce: parts.newNonce(),
      command: commandOf(task, workspace.module, parts.notebookRunner, folder()),
      cwd: workspace.folder,
      env: {
        ...stageVariables(task, workspace, parts.machine),
        ...parts.names.variables(task.namespace, { port: task.stage.port, address: record.address }),
      },
      ...(secrets === undefined ? {} : { secrets }),
      ...(prefix.length === 0 ? {} : { prefix }),
    });
  }

  /** Until it ends, by itself or because it was found useless; says how. */
  async function watch(process: RunningProcess, deadline: number): Promise<string> {
    const ended = new AbortController();
    const exited = process.exited.then((exit) => {
      ended.abort();
      return exit.kind === "lost" ? "was lost" : `ended (${exitReason(exit)})`;
    });
    const over = AbortSignal.any([ended.signal, stopped.signal]);
    const end = async (why: string): Promise<string> => {
      if (ended.signal.aborted) return exited;
      await process.stop({ graceMs: graceSeconds * 1000 });
      return why;
    };
    const late = await untilReady(process, deadline, over);
    if (late !== undefined) {
      if (!everReady) {
        settle({ kind: "failed", reason: late, lastLines: await lastLines(process.logFile, keptLines) });
        stopped.abort();
      }
      return end(late);
    }
    return end(`did not answer any more: ${await untilDeaf(over)}`);
  }

  /** Undefined when it is ready (or over), else why it is not. */
  async function untilReady(
    process: RunningProcess,
    deadline: number,
    over: AbortSignal,
  ): Promise<string | undefined> {
    for (let wait = 15; !over.aborted; wait = Math.min(100, wait * 1.2)) {
      const readiness = await checkReadiness(process.pids(), record.address, task.stage);
      if (over.aborted) return undefined;
      if (readiness.kind === "ready") {
        everReady = true;
        problem = undefined;
        wrongPort = undefined;
        record = { ...record, target: readiness.target };
        state = "ready";
        tell();
        settle({ kind: "ready" });
        return undefined;
      }
      if (readiness.kind === "elsewhere") return readiness.reason;
      wrongPort = readiness.wrongPort ?? wrongPort;
      if (parts.clock.monotonic() > deadline) {
        return `was not ready within ${task.stage.maxStartupTimeSeconds} s: ${readiness.reason}`;
      }
      await pause(wait, over);
    }
    return undefined;
  }

  /** Until it has not answered for a while; says what was found. */
  async function untilDeaf(over: AbortSignal): Promise<string> {
    const readySince = parts.clock.monotonic();
    for (let failures = 0; ; ) {
      await pause(livenessPeriod, over);
      const fault = over.aborted ? undefined : await livenessFault(over);
      if (over.aborted) return "";
      const found = fault === undefined ? undefined : `does not answer: ${fault}`;
      failures = fault === undefined ? 0 : failures + 1;
      if (found !== problem) {
        problem = found;
        tell();
      }
      if (fault !== undefined && failures >= livenessFailures) return fault;
      if (parts.clock.monotonic() - readySince > wellAfter) crashes = 0;
    }
  }

  async function livenessFault(over: AbortSignal): Promise<string | undefined> {
    const fault = await connects(record.target);
    const { healthPath } = task.stage;
    if (fault !== undefined || healthPath === undefined) return fault;
    const [answered, late] = [new AbortController(), new AbortController()];
    const waited = AbortSignal.any([over, answered.signal]);
    void pause(silenceTime, waited).then(() => late.abort());
    const silent = await staysSilent(record.target, healthPath, late.signal);
    answered.abort();
    return silent ? `${healthPath} gave no answer within ${silenceTime / 1000} s` : undefined;
  }

  async function giveUpOrWait(how: string, lines: readonly string[]): Promise<void> {
    crashes += 1;
    if (!everReady && crashes >= startCrashes) {
      settle({ kind: "failed", reason: `${how} before it was ready, ${crashes} times`, lastLines: lines });
      stopped.abort();
      return;
    }
    problem = crashes === 1 ? how : `${how}, ${crashes} times in a row`;
    delay = restartDelay(crashes, everReady, parts.random);
    state = "waiting-to-restart";
    tell();
    await pause(delay, stopped.signal);
  }

  async function pause(milliseconds: number, over: AbortSignal): Promise<void> {
    await parts.clock.sleep(milliseconds, over).catch(() => {}); // It rejects when it is cut short, which is as good.
  }
}

/** Ends what runs of a replica that nobody keeps. */
export async function endReplica(
  task: ServiceTask,
  record: ReplicaRecord,
  parts: Pick<LocalEngineParts, "layout" | "processes">,
): Promise<void> {
  if (record.starts === record.startsBefore) return;
  const folder = startFolder(task, record, record.starts, parts);
  const running = await parts.processes.adopt(replicaProcess(task, record, parts));
  await running?.stop({ graceMs: graceSeconds * 1000 });
  await rm(join(folder, "work"), { recursive: true, force: true });
}

/** Where the process of a replica's newest start is. */
export function replicaProcess(
  task: ServiceTask,
  record: ReplicaRecord,
  parts: Pick<LocalEngineParts, "layout">,
): string {
  return join(startFolder(task, record, record.starts, parts), "process");
}

function startFolder(
  task: ServiceTask,
  { id }: ReplicaRecord,
  start: number,
  { layout }: Pick<LocalEngineParts, "layout">,
): string {
  return join(layout.replicaFolder(task.runId, task.node, id), `start-${start}`);
}
