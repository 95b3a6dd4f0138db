/**
 * Where stages run. The workflow (operations/carry-out-run) decides what runs when; an engine only carries it out.
 * Each verb is idempotent by its task's run, node and attempt: called again after a crash it goes on with what is there.
 */

import type { Plan } from "../core/plan.ts";
import type { BatchTask, RunCommit, ServiceStatus, ServiceTask, StageOutput } from "../core/run-state.ts";

/** What a task tells while it goes. */
export interface TaskObserver {
  /** Where the log of this attempt or replica is to be found, as soon as it is known. */
  log(source: string, reference: string): void;
  note(level: "info" | "warning", text: string): void;
}

export type BatchOutcome =
  | { readonly kind: "succeeded"; readonly outputs: readonly StageOutput[] }
  | { readonly kind: "failed"; readonly reason: string; readonly lastLines: readonly string[] }
  | { readonly kind: "lost"; readonly reason: string; readonly lastLines: readonly string[] }
  | { readonly kind: "cancelled" };

export type RollOutOutcome =
  | { readonly kind: "serving" }
  | { readonly kind: "failed"; readonly reason: string; readonly lastLines: readonly string[] }
  | { readonly kind: "cancelled" };

export interface ServiceName {
  readonly namespace: string;
  /** Raw stage name. */
  readonly stage: string;
}

/** A run whose plan is decided, before anything of it is started. */
export interface RunTarget {
  readonly runId: string;
  readonly plan: Plan;
  readonly commit: RunCommit;
  /** Whether it is asked that the image exists; the engine's settings say so when undefined. */
  readonly checkImage: boolean | undefined;
}

export interface Engine {
  readonly kind: "local" | "kubernetes";

  /**
   * Makes what a run needs before its first stage: a namespace, copies of its secrets and of its commit, where the engine
   * has such things. Fails: image-missing, cluster-refused, cluster-unreachable.
   */
  prepare(
    target: RunTarget,
    observer: Pick<TaskObserver, "note">,
    signal: AbortSignal,
  ): Promise<{ readonly image?: string | undefined }>;

  /** Removes what was made for the namespace itself, when nothing is deployed there any more. */
  leaveNamespace(namespace: string, deployment: string, observer: Pick<TaskObserver, "note">): Promise<void>;

  /** Runs one attempt to its end, or goes on watching it. The signal ends its whole process tree. */
  runBatch(task: BatchTask, observer: TaskObserver, signal: AbortSignal): Promise<BatchOutcome>;

  /**
   * Starts the task's replicas beside what serves now, switches when all are ready, drains and stops the old ones. When it
   * fails or is cancelled the new replicas are gone and the old ones never stopped serving.
   */
  rollOut(task: ServiceTask, observer: TaskObserver, signal: AbortSignal): Promise<RollOutOutcome>;

  /** Takes the service out of the routes, drains it and stops it; done already when there is none. */
  removeService(service: ServiceName): Promise<void>;

  /** What serves now; undefined when there is none. */
  currentTask(service: ServiceName): ServiceTask | undefined;

  services(): readonly ServiceStatus[];

  /**
   * Ends what an earlier server left of an unfinished run that is not gone on with: attempts, and replicas that do not
   * serve (yet). Attempts that ended are left as they are.
   */
  endRun(runId: string): Promise<void>;

  /** Removes all that is kept of a finished run, its logs above all. */
  removeRun(runId: string): Promise<void>;
}

/** Reads logs by the references that an engine gave out; needs no server. */
export interface LogReader {
  /**
   * From the start, or the last `tail` lines. With `follow` it goes on as the log grows, until the signal aborts: what the
   * log holds by then still comes, and then the end.
   */
  read(
    reference: string,
    options: {
      readonly tail?: number | undefined;
      readonly follow: boolean;
      readonly signal?: AbortSignal | undefined;
    },
  ): AsyncIterable<string>;
}
