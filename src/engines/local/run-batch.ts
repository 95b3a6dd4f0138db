import { glob, readFile, rm } from "node:fs/promises";
import { join, posix } from "node:path";

import { asFailure, Failure } from "../../core/failure.ts";
import type { BatchTask, StageOutput } from "../../core/run-state.ts";
import { writeFileAtomic } from "../../lib/files.ts";
import type { BatchOutcome, TaskObserver } from "../../ports/engine.ts";
import type { LocalEngineParts } from "./local-engine.ts";
import { lastLines } from "./processes/follow-log.ts";
import type { ProcessExit, RunningProcess } from "./processes/processes.ts";
import { revealSecrets } from "./reveal-secrets.ts";
import { commandOf } from "./stage-command.ts";
import { locateModule, prepareWorkspace, stageVariables } from "./workspace.ts";

/** Lines of a failed stage's log that its record keeps. */
const keptLines = 20;
/** Seconds between SIGTERM and SIGKILL when a stage has run out of time or is cancelled. */
const graceSeconds = 10;

/** One attempt of a batch stage; when an earlier server started it, its process is gone on with. */
export async function runBatch(
  task: BatchTask,
  observer: TaskObserver,
  signal: AbortSignal,
  parts: LocalEngineParts,
): Promise<BatchOutcome> {
  const folder = parts.layout.attemptFolder(task.runId, task.node, task.attempt);
  const root = join(folder, "work");
  let running: RunningProcess;
  try {
    running = await startOrAdopt(task, folder, root, observer, signal, parts);
  } catch (error) {
    if (signal.aborted) return { kind: "cancelled" };
    const failure = asFailure(error);
    if (failure.kind === "bug") throw error;
    return { kind: "failed", reason: failure.message, lastLines: failure.details };
  }
  observer.log(`attempt ${task.attempt}`, parts.logReference(running.logFile));
  const ended = await endOf(running, task, signal, parts);
  const outcome = await judge(ended, task, running, folder, parts);
  // Nobody waits for it: what is left when the machine ends now goes with the run.
  void rm(root, { recursive: true, force: true }).catch(() => {});
  return outcome;
}

/** Ends the attempts of a run that an earlier server left running. */
export async function endAttempts(runId: string, parts: LocalEngineParts): Promise<void> {
  const run = parts.layout.runFolder(runId);
  for await (const attempt of glob("*/attempt-*", { cwd: run })) {
    const running = await parts.processes.adopt(join(run, attempt, "process"));
    await running?.stop({ graceMs: graceSeconds * 1000 });
    await rm(join(run, attempt, "work"), { recursive: true, force: true });
  }
}

async function startOrAdopt(
  task: BatchTask,
  folder: string,
  root: string,
  observer: TaskObserver,
  signal: AbortSignal,
  parts: LocalEngineParts,
): Promise<RunningProcess> {
  const state = join(folder, "process");
  const adopted = await parts.processes.adopt(state);
  if (adopted !== undefined) return adopted;
  const workspace = await prepareWorkspace(task, root, parts.source, parts.artifacts, signal);
  signal.throwIfAborted();
  const memoryLimitMb = task.stage.memoryLimitMb;
  if (memoryLimitMb !== undefined && !parts.processes.memoryLimitEnforced) {
    observer.note(
      "warning",
      `Stage "${task.stage.name}" has memory_limit_mb: ${memoryLimitMb}, which this machine gives no means to enforce (no writable memory cgroup).`,
    );
  }
  const prefix = await parts.names.privateHostsPrefix(task.namespace, "batch");
  const secrets = revealSecrets(task, parts.secrets);
  return parts.processes.start({
    folder: state,
    nonce: parts.newNonce(),
    command: commandOf(task, workspace.module, parts.notebookRunner, folder),
    cwd: workspace.folder,
    env: {
      ...stageVariables(task, workspace, parts.machine),
      ...parts.names.variables(task.namespace, undefined),
      BODYWORK_ATTEMPT: String(task.attempt),
    },
    ...(secrets === undefined ? {} : { secrets }),
    ...(memoryLimitMb === undefined ? {} : { memoryLimitMb }),
    ...(prefix.length === 0 ? {} : { prefix }),
  });
}

type Ended =
  | { readonly by: "itself"; readonly exit: ProcessExit }
  | { readonly by: "time-out" }
  | { readonly by: "cancel" };

async function endOf(
  running: RunningProcess,
  task: BatchTask,
  signal: AbortSignal,
  parts: LocalEngineParts,
): Promise<Ended> {
  const wakeUp = new AbortController();
  const first = await Promise.race([
    running.exited.then((exit): Ended => ({ by: "itself", exit })),
    outOfTime(running, task, wakeUp.signal, parts).then((): Ended => ({ by: "time-out" })),
    aborted(signal, wakeUp.signal).then((): Ended => ({ by: "cancel" })),
  ]);
  wakeUp.abort();
  if (first.by !== "itself") await running.stop({ graceMs: graceSeconds * 1000 });
  return first;
}

/** A timer takes no more milliseconds than fit into 31 bits, which are 24 days. */
const longestSleep = 2 ** 31 - 1;

/** Resolves when the attempt has used up its time; an adopted one has used some of it already. */
async function outOfTime(
  running: RunningProcess,
  task: BatchTask,
  unless: AbortSignal,
  { clock }: LocalEngineParts,
): Promise<void> {
  const seconds = task.stage.maxCompletionTimeSeconds;
  const never = new Promise<never>(() => {});
  if (seconds === 0) return never;
  let left = seconds * 1000 - Math.max(0, clock.now().getTime() - running.startedAt.getTime());
  // It ended while nobody looked, and says itself how.
  if (left <= 0 && running.pids().length === 0) return never;
  for (; left > 0; left -= longestSleep) {
    await clock.sleep(Math.min(left, longestSleep), unless).catch(() => never);
  }
}

function aborted(signal: AbortSignal, unless: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true, signal: unless });
  });
}

async function judge(
  ended: Ended,
  task: BatchTask,
  running: RunningProcess,
  folder: string,
  parts: LocalEngineParts,
): Promise<BatchOutcome> {
  if (ended.by === "cancel") return { kind: "cancelled" };
  const lines = (): Promise<readonly string[]> => lastLines(running.logFile, keptLines);
  if (ended.by === "time-out") {
    return {
      kind: "failed",
      reason: `timed out after ${task.stage.maxCompletionTimeSeconds} s`,
      lastLines: await lines(),
    };
  }
  const { exit } = ended;
  if (exit.kind === "lost") {
    return {
      kind: "lost",
      reason: "its supervisor was killed or the machine restarted, so nobody knows how it ended",
      lastLines: await lines(),
    };
  }
  if (exit.kind !== "exited" || exit.code !== 0) {
    return { kind: "failed", reason: exitReason(exit), lastLines: await lines() };
  }
  try {
    return { kind: "succeeded", outputs: await collectOutputs(task, folder, parts) };
  } catch (error) {
    const failure = asFailure(error);
    if (failure.kind === "bug") throw error;
    return { kind: "failed", reason: failure.message, lastLines: await lines() };
  }
}

/** In words a user can search for: `exit 3`, `SIGKILL`, `out of memory (limit 100 MiB)`. */
export function exitReason(exit: Exclude<ProcessExit, { kind: "lost" }>): string {
  switch (exit.kind) {
    case "exited":
      return `exit ${exit.code}`;
    case "signalled":
      return exit.signal;
    case "out-of-memory":
      return exit.limitMb === undefined ? "out of memory" : `out of memory (limit ${exit.limitMb} MiB)`;
  }
}

/**
 * What the stage has made, stored. It is noted beside the attempt before the working copy goes: when the server dies
 * before it has recorded the attempt, the next one finds it there.
 */
async function collectOutputs(
  task: BatchTask,
  folder: string,
  { artifacts }: LocalEngineParts,
): Promise<readonly StageOutput[]> {
  if (Object.keys(task.outputs).length === 0) return [];
  const note = join(folder, "outputs.json");
  const noted = await readFile(note, "utf8").catch(() => undefined);
  if (noted !== undefined) return JSON.parse(noted) as readonly StageOutput[];
  const root = join(folder, "work");
  const module = await locateModule(task.stage, root);
  const outputs: StageOutput[] = [];
  for (const [name, path] of Object.entries(task.outputs)) {
    const artifact = await artifacts.collect(root, module.folder, path).catch((error: unknown) => {
      const failure = asFailure(error);
      if (failure.kind === "bug") throw error;
      throw new Failure(failure.code, `output "${name}" (${path}): ${failure.message}`, { cause: failure });
    });
    outputs.push({ name, path: posix.normalize(path), ...artifact });
  }
  writeFileAtomic(note, JSON.stringify(outputs));
  return outputs;
}
