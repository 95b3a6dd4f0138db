import { Failure } from "../core/failure.ts";
import { sanitisedName } from "../core/naming.ts";
import { finishedRunStatuses, type Run, type ServiceStatus } from "../core/run-state.ts";
import type { LogReader } from "../ports/engine.ts";
import type { Environments } from "../ports/environments.ts";
import type { RunReader } from "../ports/run-store.ts";
import type { LogsRequest, LogText, Views } from "./operations.ts";

export interface ViewParts {
  /** Opened for each view, so that a store that appears later is seen; undefined when nothing was ever recorded. */
  readonly read: <T>(look: (store: RunReader) => T, nothing: T) => T;
  readonly logs: LogReader;
  readonly environments: () => Promise<Environments>;
  /** Corrects what the store says of a service by what is true on the machine now (the server may be dead). */
  readonly correct: (service: ServiceStatus) => ServiceStatus;
}

/** What only looks, from the store and the logs; needs no server and starts none. */
export function createViews(parts: ViewParts): Views {
  const { read } = parts;
  const services = (): readonly ServiceStatus[] => read((store) => store.services(), []).map(parts.correct);

  return {
    async deployments({ name, namespace }) {
      const all = services();
      return read(
        (store) =>
          store
            .deployments()
            .filter(
              (found) =>
                (name === undefined || found.name === name) &&
                (namespace === undefined || found.namespace === namespace),
            )
            .map((found) => ({
              ...found,
              release:
                found.liveRelease === undefined
                  ? undefined
                  : store.release(found.namespace, found.name, found.liveRelease),
              services: all.filter(
                (service) => service.namespace === found.namespace && service.deployment === found.name,
              ),
              lastRun: store.runs({ deployment: found.name, namespace: found.namespace, limit: 1 })[0],
            })),
        [],
      );
    },
    runs: async ({ deployment, limit }) => read((store) => store.runs({ deployment, limit }), []),
    run: async (id) => findRun(id, parts),
    logs: (request, signal) => readLogs(request, services(), parts, signal),
    environments: async () => (await parts.environments()).list(),
  };
}

function findRun(id: string, { read }: ViewParts): Run {
  const exact = read((store) => store.run(id), undefined);
  if (exact !== undefined) return exact;
  const matches = read((store) => store.runs({}), []).filter((run) => run.id.startsWith(id));
  const [only] = matches;
  if (only !== undefined && matches.length === 1) return only;
  throw new Failure(
    "not-found",
    matches.length === 0
      ? `There is no run ${id}.`
      : `Several runs begin with ${id}: ${matches.map((run) => run.id).join(", ")}.`,
    { hint: "List them with: bodywork get runs" },
  );
}

interface NamedLog {
  readonly stage: string;
  readonly source: string;
  readonly reference: string;
}

async function* readLogs(
  request: LogsRequest,
  services: readonly ServiceStatus[],
  parts: ViewParts,
  signal: AbortSignal | undefined,
): AsyncIterable<LogText> {
  const logs = chooseLogs(request, services, parts);
  const read = async function* (log: NamedLog): AsyncIterable<LogText> {
    const options = { tail: request.tail, follow: request.follow, signal };
    for await (const text of parts.logs.read(log.reference, options)) {
      yield { stage: log.stage, source: log.source, text };
    }
  };
  if (request.follow) {
    yield* merge(logs.map(read));
  } else {
    for (const log of logs) yield* read(log);
  }
}

/** Which logs are meant: those of one run, or the newest run's batch stages and the replicas that live now. */
function chooseLogs(
  request: LogsRequest,
  services: readonly ServiceStatus[],
  parts: ViewParts,
): readonly NamedLog[] {
  const { deployment, stage } = request;
  const run =
    request.runId !== undefined
      ? findRun(request.runId, parts)
      : parts.read((store) => store.runs({ deployment, limit: 1 }), [])[0];
  if (run === undefined) {
    const names = parts.read((store) => store.deployments(), []).map(({ name }) => name);
    throw new Failure("not-found", `Cannot show logs of "${deployment}": it has never run here.`, {
      hint: names.length === 0 ? "There are no deployments." : `Deployments here: ${names.join(", ")}.`,
    });
  }
  const live = services.filter((service) => service.deployment === deployment);
  const wholeRun = request.runId !== undefined || live.length === 0 || !finishedRunStatuses.has(run.status);
  const ofRun = run.stages
    .filter(({ kind }) => kind === "batch" || wholeRun)
    .flatMap(({ stage: name, kind, attempts }) =>
      attempts.flatMap(({ number, logs }) =>
        logs.map((reference, index) => ({
          stage: name,
          source: kind === "batch" ? `attempt ${number}` : `replica ${index + 1}`,
          reference,
        })),
      ),
    );
  const ofServices = wholeRun
    ? []
    : live.flatMap((service) =>
        service.replicas.map((replica) => ({
          stage: service.stage,
          source: `replica ${replica.id}`,
          reference: replica.log,
        })),
      );
  const all = [...ofRun, ...ofServices];
  if (stage === undefined) return all;
  const chosen = all.filter((log) => log.stage === stage || sanitisedName(log.stage) === stage);
  if (chosen.length > 0) return chosen;
  const known = [
    ...new Set([...run.stages.map((node) => node.stage), ...live.map((service) => service.stage)]),
  ];
  throw new Failure(
    "not-found",
    `Cannot show logs of stage "${stage}" of "${deployment}": it has written none.`,
    {
      hint: `Stages of it: ${known.join(", ")}.`,
    },
  );
}

/** Yields from all as they come. */
async function* merge<T>(sources: readonly AsyncIterable<T>[]): AsyncIterable<T> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const next = (index: number): Promise<{ index: number; result: IteratorResult<T> }> =>
    (iterators[index] as AsyncIterator<T>).next().then((result) => ({ index, result }));
  const waiting = new Map(iterators.map((_, index) => [index, next(index)]));
  while (waiting.size > 0) {
    const { index, result } = await Promise.race(waiting.values());
    if (result.done === true) {
      waiting.delete(index);
    } else {
      yield result.value;
      waiting.set(index, next(index));
    }
  }
}
