import { Failure } from "../core/failure.ts";
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

/** `Views.logs`: one log after the other; all at once, as they grow, when they are followed. */
export async function* readLogs(
  request: LogsRequest,
  parts: LogParts,
  signal: AbortSignal | undefined,
): AsyncIterable<LogText> {
  let found = findLogs(request, parts);
  while (request.follow && found.logs.length === 0 && found.mayCome) {
    if (signal?.aborted) return;
    await parts.sleep(lookPeriod, signal).catch(() => {}); // It rejects when it is cut short, which is as good.
    found = findLogs(request, parts);
  }
  if (found.logs.length === 0 && request.stage !== undefined) {
    throw new Failure(
      "not-found",
      `Cannot show logs of stage "${request.stage}" of "${request.deployment}": it has written none.`,
      { hint: `Stages of it: ${found.stages.join(", ")}.` },
    );
  }
  const left = new AbortController();
  const read = async function* ({ reference, ...named }: NamedLog): AsyncIterable<LogText> {
    const until = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]);
    const options = { tail: request.tail, follow: request.follow, signal: until };
    for await (const text of parts.logs.read(reference, options)) yield { ...named, text };
  };
  if (request.follow) {
    yield* merge(found.logs.map(read), () => left.abort());
  } else {
    for (const log of found.logs) yield* read(log);
  }
}

type NamedLog = Omit<LogText, "text"> & StageLog;

interface FoundLogs {
  readonly logs: readonly NamedLog[];
  /** A run that goes on may still write one that is asked for. */
  readonly mayCome: boolean;
  /** Names of all stages, whether they are asked for or not. */
  readonly stages: readonly string[];
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
  const wholeRun = runId !== undefined || live.length === 0 || !finishedRunStatuses.has(run.status);
  const logs = wholeRun
    ? logsOfRun(run)
    : [
        ...logsOfRun({ ...run, stages: run.stages.filter(({ kind }) => kind === "batch") }),
        ...live.flatMap(logsOfService),
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
  };
}

function hasLogs({ stages }: Run): boolean {
  return stages.some(({ attempts }) => attempts.some(({ logs }) => logs.length > 0));
}

function logsOfRun({ stages }: Run): readonly NamedLog[] {
  return stages.flatMap(({ node, stage, attempts }) =>
    attempts.flatMap(({ logs }) => logs.map((log) => ({ node, stage, ...log }))),
  );
}

function logsOfService({ stage, wantedReplicas, replicas }: ServiceStatus): readonly NamedLog[] {
  return replicas.map(({ id, log }) => ({
    node: stage,
    stage,
    source: replicaSource(`replica ${id}`, wantedReplicas),
    reference: log,
  }));
}

function neverRan(deployment: string, { read }: LogParts): Failure {
  const names = read((store) => store.deployments(), []).map(({ name }) => name);
  return new Failure("not-found", `Cannot show logs of "${deployment}": it has never run here.`, {
    hint: names.length === 0 ? "There are no deployments." : `Deployments here: ${names.join(", ")}.`,
  });
}

interface Answer<T> {
  readonly iterator: AsyncIterator<T>;
  readonly result: IteratorResult<T> | undefined;
  readonly error?: unknown;
}

/**
 * Yields from all as they come. `onLeave` must end those that wait, for each has a log open. Not by `Promise.race`: one that
 * says nothing would remember everything that the others have said.
 */
async function* merge<T>(sources: readonly AsyncIterable<T>[], onLeave: () => void): AsyncIterable<T> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const answers: Answer<T>[] = [];
  let wake = (): void => {};
  const ask = async (iterator: AsyncIterator<T>): Promise<void> => {
    try {
      answers.push({ iterator, result: await iterator.next() });
    } catch (error) {
      answers.push({ iterator, result: undefined, error });
    }
    wake();
  };
  let unended = iterators.length;
  for (const iterator of iterators) void ask(iterator);
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
      } else {
        yield answer.result.value;
        void ask(answer.iterator);
      }
    }
  } finally {
    onLeave();
    await Promise.allSettled(iterators.map((iterator) => iterator.return?.()));
  }
}
