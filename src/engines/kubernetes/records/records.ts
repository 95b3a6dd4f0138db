import type { RunStore } from "../../../ports/run-store.ts";

/** What of the record a command needs; all that is not loaded is as if it were not there. */
export type RecordScope =
  /** Deployments, each with its live release and its newest run. */
  | { readonly kind: "deployments" }
  /** All of one pipeline: its deployment, releases and runs (without events). */
  | { readonly kind: "deployment"; readonly name: string }
  /** All of a namespace, with the engine's documents of its unfinished runs. */
  | { readonly kind: "namespace"; readonly namespace: string }
  /** One run with its events, by its id or the beginning of it. */
  | { readonly kind: "run"; readonly id: string }
  /** The newest runs of all pipelines. */
  | { readonly kind: "runs"; readonly limit: number }
  /** Runs that have not ended, of all pipelines, with their documents. */
  | { readonly kind: "unfinished" };

/**
 * The record as the operations know it, in memory, and behind it the Secrets of the management namespace: what is saved is
 * written there in order, a newer version of a thing in place of one that has not been written yet.
 */
export interface ClusterStore extends RunStore {
  /** Reads what others may have written; what this process has saved since is kept. */
  refresh(scope: RecordScope): Promise<void>;
  /** All that was saved up to now is in the cluster. Fails: as the write that could not be done. */
  settled(): Promise<void>;
}
