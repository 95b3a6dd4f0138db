/** The record of everything. One process writes (the server); any process reads. All calls are synchronous and durable on return. */

import type { Deployment, Release, Run, RunEvent, ServiceStatus } from "../core/run-state.ts";

/** A RunEvent before it has its number and time. */
export type NewRunEvent =
  Exclude<RunEvent, { kind: "log" }> extends infer E
    ? E extends RunEvent
      ? Omit<E, "seq" | "at">
      : never
    : never;

export interface RunReader {
  run(id: string): Run | undefined;
  /** Ids that begin so, newest first. */
  runIds(beginning: string, limit: number): readonly string[];
  /** Newest first. */
  runs(filter: {
    readonly deployment?: string | undefined;
    readonly namespace?: string | undefined;
    readonly limit?: number | undefined;
  }): readonly Run[];
  unfinishedRuns(): readonly Run[];
  events(runId: string, after: number): readonly RunEvent[];
  deployments(): readonly Deployment[];
  deployment(namespace: string, name: string): Deployment | undefined;
  release(namespace: string, deployment: string, number: number): Release | undefined;
  /** Newest first. */
  releases(namespace: string, deployment: string): readonly Release[];
  /** As the engine last saw them. */
  services(): readonly ServiceStatus[];
}

export interface RunStore extends RunReader {
  /** With what is to be told of the change, together; returns that as it is stored. */
  saveRun(run: Run, told?: { readonly event: NewRunEvent; readonly at: Date }): RunEvent | undefined;
  addEvent(runId: string, event: NewRunEvent, at: Date): RunEvent;
  /** Records the release and makes it the live one, together. */
  saveRelease(release: Release, deployment: Deployment): void;
  removeRelease(release: Pick<Release, "namespace" | "deployment" | "number">): void;
  /** With its releases and its finished runs, whose ids it returns. */
  removeDeployment(namespace: string, name: string): readonly string[];
  /** Removes runs (with their events) that are finished, beyond the newest `keep` of each deployment and what made a live release; returns their ids. */
  removeOldRuns(keep: number): readonly string[];
  /** Removes those that are finished and made no live release, with their events; returns their ids. */
  removeRuns(ids: readonly string[]): readonly string[];
  saveServiceStatus(status: ServiceStatus): void;
  removeServiceStatus(namespace: string, stage: string): void;
  /** A small document of an engine's own, by key: what it must remember across restarts. */
  document<T>(collection: string, key: string): T | undefined;
  documents<T>(collection: string): ReadonlyMap<string, T>;
  saveDocument(collection: string, key: string, value: unknown): void;
  removeDocument(collection: string, key: string): void;
  close(): void;
}
