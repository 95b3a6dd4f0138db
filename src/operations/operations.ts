/**
 * The verbs of the tool. The embedded tool and the HTTP client both satisfy this interface, so the command line does not
 * know which of the two it talks to. Failures are `Failure`s on both sides.
 */

import type { Deployment, DeployRequest, Release, Run, RunEvent, ServiceStatus } from "../core/run-state.ts";
import type { EnvironmentRecord } from "../ports/environments.ts";

/** What changes something. */
export interface Actions {
  /** Accepts a deployment: when this returns, the run is stored and goes on without us. */
  deploy(request: DeployRequest): Promise<{ readonly runId: string }>;
  /**
   * What has happened and happens in a run, in order, with its stages' logs, until it is finished. `after` is the last
   * `seq` already seen (0 for all).
   */
  followRun(runId: string, after: number, signal?: AbortSignal): AsyncIterable<RunEvent>;
  /** Asks the run to stop and to put back what it changed; returns at once. */
  cancelRun(runId: string): Promise<void>;
  /** All of it goes: processes, routes, files. `found` is false when there was none of that name. */
  deleteDeployment(name: string): Promise<{ readonly found: boolean }>;
  /** Removes environments that no live release uses (all unused ones, or those not used for some days). */
  cleanEnvironments(options: { readonly unusedDays: number }): Promise<readonly EnvironmentRecord[]>;
}

/** What only looks; needs no server. */
export interface Views {
  deployments(filter: {
    readonly name?: string | undefined;
    readonly namespace?: string | undefined;
  }): Promise<readonly DeploymentView[]>;
  runs(filter: {
    readonly deployment?: string | undefined;
    readonly limit?: number | undefined;
  }): Promise<readonly Run[]>;
  /** By id, or by the beginning of one when it is unambiguous. Fails: not-found. */
  run(id: string): Promise<Run>;
  /**
   * Logs of a deployment: of one stage or of all, of the live services and the newest run's batch stages, or of one run.
   * Fails: not-found (naming what there is).
   */
  logs(request: LogsRequest, signal?: AbortSignal): AsyncIterable<LogText>;
  environments(): Promise<readonly EnvironmentRecord[]>;
}

export interface Operations extends Actions, Views {}

export interface DeploymentView extends Deployment {
  readonly release: Release | undefined;
  readonly services: readonly ServiceStatus[];
  readonly lastRun: Run | undefined;
}

export interface LogsRequest {
  readonly deployment: string;
  readonly stage?: string | undefined;
  readonly runId?: string | undefined;
  readonly tail?: number | undefined;
  readonly follow: boolean;
}

export interface LogText {
  readonly stage: string;
  /** `attempt 1`, `replica 2`. */
  readonly source: string;
  readonly text: string;
}

/** The embedded server of a home folder. */
export interface ServerControl {
  status(): Promise<ServerStatus>;
  /** Starts it when it is not running (or runs an older version); returns when it answers. */
  start(options: { readonly listen?: string | undefined }): Promise<ServerStatus>;
  /** Services and ingress live on unless `services`. */
  stop(options: { readonly services: boolean }): Promise<ServerStatus>;
}

export interface ServerStatus {
  readonly running: boolean;
  readonly pid: number | undefined;
  readonly version: string | undefined;
  readonly home: string;
  /** API address, `http://127.0.0.1:PORT`. */
  readonly api: string | undefined;
  /** The ingress's public address, `http://127.0.0.1:8080`; undefined when it never started. */
  readonly ingress: string | undefined;
  readonly ingressRunning: boolean;
  readonly startedAt: string | undefined;
}
