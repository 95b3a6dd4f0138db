/**
 * The verbs of the tool. The embedded tool and the HTTP client both satisfy this interface, so the command line does not
 * know which of the two it talks to. Failures are `Failure`s on both sides.
 */

import type { Deployment, DeployRequest, Release, Run, RunEvent, ServiceStatus } from "../core/run-state.ts";
import type { EnvironmentRecord } from "../ports/environments.ts";

/** What changes something. */
export interface Actions {
  /** Accepts a deployment: when this returns, the run is stored and goes on without us. Fails: repository-url. */
  deploy(request: DeployRequest): Promise<{ readonly runId: string }>;
  /**
   * What has happened and happens in a run, in order, with its stages' logs, until it is finished. `after` is the last
   * `seq` already seen (0 for all).
   */
  followRun(runId: string, after: number, signal?: AbortSignal): AsyncIterable<RunEvent>;
  /**
   * Asks the run to stop and to put back what it changed; returns at once. `why` is for people (`Ctrl-C`): the run's reason
   * is `cancelled: WHY`.
   */
  cancelRun(runId: string, why: string): Promise<void>;
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
   * Logs of a deployment: of one stage or of all, of one run, or of the newest run that has some (of its batch stages
   * only, beside the live services, when it is finished). With `follow`, the first log is waited for while a run goes on.
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
  /** The stage's name in the run; for a service that is not looked at as part of one, its stage. */
  readonly node: string;
  readonly stage: string;
  /** As of a StageLog. */
  readonly source: string;
  readonly text: string;
}

/** The embedded server of a home folder. */
export interface ServerControl {
  status(): Promise<ServerStatus>;
  /**
   * Starts it when it is not running (or runs an older version); returns when it answers and the services that it brings
   * back are ready or have failed once, after 10 s at the latest.
   */
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
  /** Why the ingress is not where it should be; undefined when it is. */
  readonly ingressNote?: string | undefined;
  /** Services that are brought back and neither ready yet nor have failed to be, as `NAMESPACE/STAGE`. */
  readonly comingBack?: readonly string[];
  readonly startedAt: string | undefined;
}
