import { Failure } from "../core/failure.ts";
import type { RunReader } from "../ports/run-store.ts";
import type { RunRecorder } from "./record-run.ts";
import type { Turns } from "./turns.ts";

/**
 * Takes a run's turn, which ends with the run. `onWait` is called when it must wait; whom for is on its record, and stays
 * there. Fails: superseded, or with the signal's reason.
 */
export type TakeTurn = (
  runEnded: Promise<void>,
  namespace: string,
  deployment: string,
  recorder: RunRecorder,
  signal: AbortSignal,
  onWait: () => void,
) => Promise<void>;

/**
 * One run at a time in a namespace, for runs of one namespace may change the same services. Of those that wait for one
 * deployment only the newest is kept: what it deploys is what would be left anyway.
 */
export function createRunQueue(turns: Turns, store: RunReader): TakeTurn {
  const waiting = new Map<string, { readonly runId: string; readonly giveUp: AbortController }>();

  return async (runEnded, namespace, deployment, recorder, signal, onWait) => {
    const runId = recorder.run.id;
    const key = `${namespace}/${deployment}`;
    const other = waiting.get(key);
    if (other !== undefined && other.runId > runId) throw superseded(other.runId);
    other?.giveUp.abort(superseded(runId));
    const mine = { runId, giveUp: new AbortController() };
    waiting.set(key, mine);
    try {
      const endTurn = await turns.take(
        namespace,
        `run ${runId}`,
        AbortSignal.any([signal, mine.giveUp.signal]),
        (holder) => {
          onWait();
          recorder.update({ waitingFor: holder });
          recorder.notice("info", `Waiting for ${holder} to end.`);
        },
      );
      void runEnded.then(endTurn);
    } finally {
      if (waiting.get(key) === mine) waiting.delete(key);
    }
    const newer = liveRun(namespace, deployment);
    if (recorder.run.status === "preparing" && newer !== undefined && newer > runId) throw superseded(newer);
  };

  /** The run of the live release. */
  function liveRun(namespace: string, deployment: string): string | undefined {
    const number = store.deployment(namespace, deployment)?.liveRelease;
    return number === undefined ? undefined : store.release(namespace, deployment, number)?.runId;
  }
}

function superseded(by: string): Failure {
  return new Failure("superseded", `superseded by run ${by}, which was asked for later`);
}
