import { asFailure, Failure } from "../core/failure.ts";
import { sanitisedName } from "../core/naming.ts";
import { finishedRunStatuses, type Run, type ServiceStatus, type StageLog } from "../core/run-state.ts";
import { findRun } from "./find-run.ts";
import type { LogsRequest, LogText } from "./operations.ts";
import { replicaSource } from "./replica-source.ts";
import type { ViewParts } from "./views.ts";

interface LogParts extends Pick<ViewParts, "read" | "logs" | "sleep"> {
  readonly services: () => readonly ServiceStatus[];
}

/** Milliseconds between two looks for a log that is not there yet. */
const lookPeriod = 200;
/** Milliseconds between two looks for logs that have ended, or come, while others are followed. */
const lookAgainPeriod = 1_000;

/** `Views.logs`: one log after the other; all at once, as they grow, when they are followed. */
export async function* readLogs(
  request: LogsRequest,
  parts: LogParts,
  signal: AbortSignal | undefined,
): AsyncIterable<LogText> {
  let found = findLogs(request, parts);
  while (request.follow && found.logs.length === 0 && found.mayCome) {
    if (signal?.aborted) return;
    await pause(lookPeriod, parts, signal);
    found = findLogs(request, parts);
  }
  if (found.logs.length === 0 && request.stage !== undefined) {
    throw new Failure(
      "not-found",
      `Cannot show logs of stage "${request.stage}" of "${request.deployment}": it has written none.`,
      { hint: `Stages of it: ${found.stages.join(", ")}.` },
    );
  }
  if (request.follow) {
    const left = new AbortController();
    const until = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]);
    yield* merge(followLogs(found, request, parts, until), () => left.abort());
  } else {
    for (const log of found.logs) {
      yield* readLog(log, parts, { tail: request.tail, follow: false, signal });
    }
  }
}

async function* readLog(
  { reference, node, stage, source }: NamedLog,
  { logs }: LogParts,
  options: Parameters<LogParts["logs"]["read"]>[1],
): AsyncIterable<LogText> {
  for await (const text of logs.read(reference, options)) yield { node, stage, source, text };
}

/** The logs that were found and those that come, each until nothing writes it any more; ends when none can come. */
async function* followLogs(
  first: FoundLogs,
  request: LogsRequest,
  parts: LogParts,
  until: AbortSignal,
): AsyncIterable<AsyncIterable<LogText>> {
  const open = new Map<string, AbortController>();
  // Of the replicas that lived before, those were passed over that were not asked for.
  const known = new Set(first.living);
  for (let found = first; ; found = lookAgain(request, parts)) {
    for (const log of found.logs) {
      if (open.has(log.reference) || (found !== first && known.has(log.reference))) continue;
      known.add(log.reference);
      const ended = new AbortController();
      if (log.open) open.set(log.reference, ended);
      else ended.abort();
      // Of one that begins while it is followed nothing was missed.
      const tail = found === first ? request.tail : undefined;
      yield readLog(log, parts, { tail, follow: true, signal: AbortSignal.any([until, ended.signal]) });
    }
    const written = new Set(found.logs.filter((log) => log.open).map(({ reference }) => reference));
    for (const [reference, ended] of open) {
      if (written.has(reference)) continue;
      ended.abort();
      open.delete(reference);
    }
    if (until.aborted || (open.size === 0 && !found.mayCome)) return;
    await pause(lookAgainPeriod, parts, until);
  }
}

/** It rejects when it is cut short, which is as good. */
async function pause(milliseconds: number, { sleep }: LogParts, signal: AbortSignal | undefined) {
  await sleep(milliseconds, signal).catch(() => {});
}

/** Nothing when all of it was deleted meanwhile. */
function lookAgain(request: LogsRequest, parts: LogParts): FoundLogs {
  try {
    return findLogs(request, parts);
  } catch (error) {
    if (asFailure(error).code !== "not-found") throw error;
    return { logs: [], mayCome: false, stages: [], living: [] };
  }
}

interface NamedLog extends Omit<LogText, "text">, StageLog {
  /** A process may still write it. */
  readonly open: boolean;
}

interface FoundLogs {
  readonly logs: readonly NamedLog[];
  /** A run that goes on may still write one that is asked for. */
  readonly mayCome: boolean;
  /** Names of all stages, whether they are asked for or not. */
  readonly stages: readonly string[];
  /** References of the logs of all replicas that live. */
  readonly living: readonly string[];
}

function findLogs({ deployment, stage, runId }: LogsRequest, parts: LogParts): FoundLogs {
  const runs =
    runId === undefined
      ? parts.read((store) => store.runs({ deployment }), [])
      : [findRun(runId, parts.read)];
  // One that only waits for its turn hides nothing of the one before it.
  const run = runs.find(hasLogs) ?? runs[0];
  if (run === undefined) throw neverRan(deployment, parts);
  const live = parts.services().filter((service) => service.deployment === deployment);
  const living = live.flatMap(({ replicas }) =>
    replicas.flatMap(({ state, log }) => (state === "stopped" ? [] : [log])),
  );
  const wholeRun = runId !== undefined || live.length === 0 || !finishedRunStatuses.has(run.status);
  const logs = wholeRun
    ? logsOfRun(run, living)
    : [
        ...logsOfRun({ ...run, stages: run.stages.filter(({ kind }) => kind === "batch") }, living),
        ...live.flatMap((service) => logsOfService(service, living)),
      ];
  const isMeant = (log: { readonly stage: string }): boolean =>
    stage === undefined || log.stage === stage || sanitisedName(log.stage) === stage;
  return {
    logs: logs.filter(isMeant),
    mayCome: runs.some(
      ({ status, stages }) =>
        !finishedRunStatuses.has(status) && (stages.length === 0 || stages.some(isMeant)),
    ),
    stages: [...new Set([...run.stages, ...live].map((known) => known.stage))],
    living,
  };
}

function hasLogs({ stages }: Run): boolean {
  return stages.some(({ attempts }) => attempts.some(({ logs }) => logs.length > 0));
}

function logsOfRun({ stages, status }: Run, living: readonly string[]): readonly NamedLog[] {
  const goesOn = !finishedRunStatuses.has(status);
  return stages.flatMap(({ node, stage, attempts }) =>
    attempts.flatMap((attempt) =>
      attempt.logs.map((log) => ({
        ...{ node, stage, ...log },
        open: (goesOn && attempt.status === "running") || living.includes(log.reference),
      })),
    ),
  );
}

function logsOfService(
  { stage, wantedReplicas, replicas }: ServiceStatus,
  living: readonly string[],
): readonly NamedLog[] {
  return replicas.map(({ id, log }) => ({
    node: stage,
    stage,
    source: replicaSource(`replica ${id}`, wantedReplicas),
    reference: log,
    open: living.includes(log),
  }));
}

function neverRan(deployment: string, { read }: LogParts): Failure {
  const names = read((store) => store.deployments(), []).map(({ name }) => name);
  return new Failure("not-found", `Cannot show logs of "${deployment}": it has never run here.`, {
    hint: names.length === 0 ? "There are no deployments." : `Deployments here: ${names.join(", ")}.`,
  });
}

interface Answer<T> {
  readonly result: IteratorResult<T> | undefined;
  readonly error?: unknown;
  /** Asks for the next one. */
  readonly askAgain: () => void;
}

/**
 * Yields from all sources as they come, of which there may be more all the time. `onLeave` must end those that wait, for
 * each has a log open. Not by `Promise.race`: one that says nothing would remember everything that the others have said.
 */
async function* merge<T>(sources: AsyncIterable<AsyncIterable<T>>, onLeave: () => void): AsyncIterable<T> {
  const iterators = new Set<AsyncIterator<unknown>>();
  const answers: (
    | ({ readonly of: "sources" } & Answer<AsyncIterable<T>>)
    | ({ readonly of: "source" } & Answer<T>)
  )[] = [];
  let wake = (): void => {};
  const ask = async <U>(iterator: AsyncIterator<U>, onAnswer: (answer: Answer<U>) => void): Promise<void> => {
    iterators.add(iterator);
    const askAgain = (): void => void ask(iterator, onAnswer);
    try {
      const result = await iterator.next();
      if (result.done === true) iterators.delete(iterator);
      onAnswer({ result, askAgain });
    } catch (error) {
      onAnswer({ result: undefined, error, askAgain });
    }
    wake();
  };
  let unended = 1;
  void ask(sources[Symbol.asyncIterator](), (answer) => answers.push({ of: "sources", ...answer }));
  try {
    while (unended > 0) {
      const answer = answers.shift();
      if (answer === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if (answer.result === undefined) {
        throw answer.error;
      } else if (answer.result.done === true) {
        unended -= 1;
      } else if (answer.of === "sources") {
        unended += 1;
        void ask(answer.result.value[Symbol.asyncIterator](), (text) =>
          answers.push({ of: "source", ...text }),
        );
        answer.askAgain();
      } else {
        yield answer.result.value;
        answer.askAgain();
      }
    }
  } finally {
    onLeave();
    await Promise.allSettled([...iterators].map((iterator) => iterator.return?.()));
  }
}
