import { randomBytes } from "node:crypto";

import { asFailure, Failure } from "../core/failure.ts";
import { type DeployRequest, finishedRunStatuses, type Run } from "../core/run-state.ts";
import { withoutCredentials } from "../core/url-credentials.ts";
import { carryOutRun, type RepositoryAccess, type RunParts } from "./carry-out-run.ts";
import { cleanEnvironments } from "./clean-environments.ts";
import { deleteDeployment } from "./delete-deployment.ts";
import { deleteService } from "./delete-service.ts";
import type { DeploymentActions, RepositoryCredentials } from "./operations.ts";
import { planRun } from "./plan-run.ts";
import { type RunRecorder, recordRun } from "./record-run.ts";
import type { RunFeed } from "./run-feed.ts";
import { createRunQueue } from "./run-queue.ts";
import { createRunSlots } from "./run-slots.ts";
import { sweepArtifacts, sweepReleases, sweepRuns, sweepSecrets } from "./sweep.ts";
import { createTurns, type Turns } from "./turns.ts";

/** The actions as the server carries them out, and what it needs to start and stop well. */
export interface RunActions extends DeploymentActions {
  /**
   * Carries out the run of that id, which is made when there is none yet, and returns it when it has ended; unfinished
   * when it is left to the next server.
   */
  startRun(start: RunStart): Promise<Run>;
  /** Goes on with every run that an earlier server left unfinished, or ends it, or leaves it to whoever carries it out. */
  resume(decide?: (run: Run) => "go on" | "end" | "leave"): void;
  /** Cancels every run that is carried out, and returns when all of them have ended. `why` is as of `cancelRun`. */
  cancelAll(why: string): Promise<void>;
  /** Runs being carried out now. */
  running(): readonly string[];
  /** Returns when every run has ended, and what it left was tidied up. */
  idle(): Promise<void>;
}

/** A run as a job asks for it. */
export interface RunStart {
  /** Of `newRunId`. */
  readonly id: string;
  /** Without credentials. */
  readonly request: DeployRequest;
  readonly access: RepositoryAccess;
}

export type SharedParts = Omit<RunParts, "takeTurn" | "access">;

export interface RunActionParts extends SharedParts {
  /** Runs that are carried out at once; those that wait for their turn do not count. */
  readonly maxParallelRuns: number;
  /** Beyond which no run is accepted from outside: each has its place in memory. */
  readonly maxUnfinishedRuns: number;
  /** Of the namespaces; this process's own by default. */
  readonly turns?: Turns;
}

/** Milliseconds until a run whose record can't be written (a full disk) is gone on with. */
const recordRetry = 10_000;
/** Runs that are looked through for a request that came before. */
const recentRuns = 100;
/** A run that fails in ways nobody foresaw is left to the next server after so many tries. */
const mostFaults = 3;

export function createRunActions(parts: RunActionParts, feed: RunFeed): RunActions {
  const { store, clock } = parts;
  const carriedOut = new Map<
    string,
    { recorder: RunRecorder; readonly stop: AbortController; readonly ended: Promise<void> }
  >();
  const carrying = new Set<Promise<void>>();
  const turns = parts.turns ?? createTurns();
  const takeTurn = createRunQueue(turns, store);
  const slots = createRunSlots(parts.maxParallelRuns);
  let sweeping: Promise<unknown> = Promise.resolve();

  return {
    async deploy(request, credentials) {
      parts.source.check(request.url);
      const accepted = runOfKey(request);
      if (accepted !== undefined) return { runId: accepted.id };
      if (carriedOut.size >= parts.maxUnfinishedRuns) {
        throw new Failure("too-many-requests", `Cannot accept the run: ${carriedOut.size} are unfinished.`, {
          hint: "Wait until some have ended: bodywork get runs",
        });
      }
      const id = newRunId(clock.now());
      begin({ id, request: forRecord(request), access: accessOf(request, credentials) });
      return { runId: id };
    },
    async plan(request, credentials) {
      parts.source.check(request.url);
      return planRun(forRecord(request), { ...parts, access: accessOf(request, credentials) });
    },
    async startRun(start) {
      if (store.run(start.id) === undefined) begin(start);
      await carriedOut.get(start.id)?.ended;
      return requireRun(start.id);
    },
    followRun: (runId, after, signal = new AbortController().signal) => {
      requireRun(runId);
      return feed.subscribe(runId, after, signal);
    },
    async cancelRun(runId, why) {
      requireRun(runId);
      cancel(runId, why);
    },
    async deleteDeployment(name) {
      const deleted = await deleteDeployment(name, parts, turns, (runId) =>
        cancel(runId, "delete deployment"),
      );
      await sweep();
      return deleted;
    },
    deleteService: (deployment, service) => deleteService(deployment, service, parts, turns),
    cleanEnvironments: ({ unusedDays }) => cleanEnvironments(unusedDays, parts),
    resume(decide = () => "go on") {
      // Whoever had the turn when the server died has it again before anybody can wait for it.
      const order = (run: Run): number => (run.status === "reverting" ? 0 : run.status === "running" ? 1 : 2);
      const left = store.unfinishedRuns().toSorted((a, b) => order(a) - order(b));
      for (const run of left) {
        const decided = decide(run);
        if (decided === "go on") startCarryingOut(run, { keep: false });
        if (decided === "end") startCarryingOut(given(run, "its controller is gone"), { keep: false }, true);
      }
    },
    async cancelAll(why) {
      for (const runId of carriedOut.keys()) cancel(runId, why);
      await Promise.all([...carriedOut.values()].map(({ ended }) => ended));
    },
    running: () => [...carriedOut.keys()],
    async idle() {
      while (carrying.size > 0) await Promise.all(carrying);
    },
  };

  function startCarryingOut(run: Run, access: RepositoryAccess, withTurn = false): void {
    const carried = carryOut(run, access, withTurn).finally(() => carrying.delete(carried));
    carrying.add(carried);
  }

  /** The run that was accepted for the request when it came before. Fails: usage. */
  function runOfKey({ key, url }: DeployRequest): Run | undefined {
    if (key === undefined) return undefined;
    const run = store.runs({ limit: recentRuns }).find(({ request }) => request.key === key);
    if (run === undefined || run.request.url === withoutCredentials(url)) return run;
    throw new Failure(
      "usage",
      `Cannot deploy ${withoutCredentials(url)}: its key is that of run ${run.id}.`,
      {
        hint: "A key is for one request and its repetitions: make a new one.",
      },
    );
  }

  /** The run is on record when this returns. */
  function begin({ id, request, access }: RunStart): void {
    const run = newRun(id, request, clock.now());
    store.saveRun(run);
    startCarryingOut(run, access);
  }

  /** Until the run is finished, or the store is closed and the next server goes on with it. */
  async function carryOut(run: Run, access: RepositoryAccess, withTurn: boolean): Promise<void> {
    const stop = new AbortController();
    // Of what another controller has left is only known in a turn what became of it; a cancelled run waits for none.
    if (run.cancelRequested && !(withTurn && run.namespace !== undefined)) stop.abort();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const carried = { recorder: recordRun(run, store, feed, clock), stop, ended };
    let giveSlotBack: (() => void) | undefined;
    /** A cancelled run needs none to end. */
    const takeSlot = async (first: boolean): Promise<void> => {
      try {
        giveSlotBack ??= await slots.take(first, stop.signal, () => tellWait(carried.recorder));
      } catch (error) {
        if (!stop.signal.aborted) throw error;
      } finally {
        endWait(carried.recorder);
      }
    };
    const leaveSlot = (): void => {
      giveSlotBack?.();
      giveSlotBack = undefined;
    };
    let turn: Promise<void> | undefined;
    const runParts: RunParts = {
      ...parts,
      access,
      async takeTurn(...of) {
        turn ??= takeTurn(ended, ...of, leaveSlot).catch((error: unknown) => {
          turn = undefined; // A run that is gone on with asks anew.
          throw error;
        });
        await turn.finally(() => endWait(carried.recorder));
        // Others may wait for this turn.
        await takeSlot(true);
      },
    };
    carriedOut.set(run.id, carried);
    await sweeping;
    for (let faults = 0; ; ) {
      try {
        await takeSlot(goesFirst(carried.recorder.run));
        await carryOutRun(carried.recorder, runParts, stop.signal);
        break;
      } catch (error) {
        if (asFailure(error).kind === "bug") faults += 1;
        const left = faults < mostFaults ? await leftAfter(error, carried.recorder) : undefined;
        if (left === undefined) break;
        carried.recorder = recordRun(left, store, feed, clock);
      }
    }
    end();
    leaveSlot();
    feed.finish(run.id);
    carriedOut.delete(run.id);
    await tidyUp(carried.recorder.run);
  }

  function tellWait(recorder: RunRecorder): void {
    const whom = `one of ${parts.maxParallelRuns} runs`;
    recorder.update({ waitingFor: whom });
    recorder.notice("info", `Waiting for ${whom} to end (setting max_parallel_runs).`);
  }

  function endWait(recorder: RunRecorder): void {
    if (recorder.run.waitingFor !== undefined) recorder.update({ waitingFor: undefined });
  }

  /** The run as it is on record, after a while; undefined when it is finished or there is no store any more. */
  async function leftAfter(error: unknown, recorder: RunRecorder): Promise<Run | undefined> {
    // Another controller has it.
    if (asFailure(error).code === "superseded") return undefined;
    recorder.tellText(
      "run",
      "server",
      `Cannot record how it goes on: ${asFailure(error).message} Trying again.\n`,
    );
    await clock.sleep(recordRetry);
    try {
      const run = store.run(recorder.run.id);
      return run === undefined || finishedRunStatuses.has(run.status) ? undefined : run;
    } catch {
      return undefined;
    }
  }

  /** What can't be removed now is removed after the next run. */
  async function tidyUp(run: Run): Promise<void> {
    try {
      await sweepRuns(parts);
      const oldOnesWent = await sweepReleases(parts);
      // What a run that failed has made belongs to no release.
      if (oldOnesWent || run.status !== "succeeded") await sweep();
    } catch {}
  }

  /** On record before anybody is told that it is accepted. A run that is ending already ends as it would. */
  function cancel(runId: string, why: string): void {
    const carried = carriedOut.get(runId);
    if (carried === undefined) return;
    const { recorder, stop } = carried;
    if (finishedRunStatuses.has(recorder.run.status)) return;
    if (recorder.run.reason === undefined) {
      recorder.update({ cancelRequested: true, reason: `cancelled: ${why}`, code: "cancelled" });
    }
    stop.abort();
  }

  /** Artifacts only while nothing is carried out: a stage may be storing what is on no record yet. */
  async function sweep(): Promise<void> {
    sweepSecrets(parts);
    if (carriedOut.size > 0) return;
    const swept = sweepArtifacts(parts);
    sweeping = swept.catch(() => {});
    await swept;
  }

  function requireRun(runId: string): Run {
    const run = store.run(runId);
    if (run !== undefined) return run;
    throw new Failure("not-found", `There is no run ${runId}.`, { hint: "bodywork get runs" });
  }
}

/** Somebody waits for it, or it was carried out before the server died. */
function goesFirst({ request, status }: Run): boolean {
  return request.startedBy === "command" || status === "running" || status === "reverting";
}

/** As it may be stored: credentials in the URL are for this run alone. */
export function forRecord(request: DeployRequest): DeployRequest {
  return { ...request, url: withoutCredentials(request.url) };
}

/** What lets a run of that request read its repository. */
export function accessOf(
  { url }: Pick<DeployRequest, "url">,
  credentials: RepositoryCredentials | undefined,
): RepositoryAccess {
  return { url, sshKey: credentials?.sshKey, keep: credentials?.keep ?? false };
}

/** As if a person had asked for its end. */
function given(run: Run, why: string): Run {
  if (run.reason !== undefined) return run;
  return { ...run, cancelRequested: true, reason: `cancelled: ${why}`, code: "cancelled" };
}

function newRun(id: string, request: DeployRequest, now: Date): Run {
  return {
    id,
    request,
    status: "queued",
    reason: undefined,
    code: undefined,
    details: [],
    hint: undefined,
    createdAt: now.toISOString(),
    startedAt: undefined,
    endedAt: undefined,
    deployment: undefined,
    namespace: undefined,
    commit: undefined,
    release: undefined,
    stages: [],
    changed: [],
    cancelRequested: false,
  };
}

/** Sorts by time, to the millisecond: `20261123-190512345-k3f9`. */
export function newRunId(now: Date): string {
  const [date, time] = now
    .toISOString()
    .replace(/[-:.Z]/g, "")
    .split("T");
  return `${date}-${time}-${randomBytes(3).toString("hex").slice(0, 4)}`;
}
