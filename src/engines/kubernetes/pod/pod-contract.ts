/**
 * What a pod of ours is told, and what it answers: the words between the manifests, the program inside the pod
 * (run_stage.py) and the engine that reads what came of it.
 */

import type { StageOutput } from "../../../core/run-state.ts";

/** Where things are inside the pod. */
export const podPaths = {
  /** Parts of the commit's archive: `part-000`, `part-001`, …; read-only. */
  sources: "/bodywork/sources",
  /** start.sh, run_stage.py and what that uses; read-only. */
  program: "/bodywork/program",
  /** An emptyDir: the checkout is made in `bodywork_project` below it. */
  work: "/bodywork/work",
  /** Environments, uv and downloads: a claim, a folder of the node, or an emptyDir. */
  cache: "/bodywork/cache",
  /** A claim that holds artifacts and large commits; only when that is where they are kept. */
  storage: "/bodywork/storage",
} as const;

/** The container's variable that holds a PodSpecification as JSON. */
export const specificationVariable = "BODYWORK_STAGE_SPECIFICATION";

/** All that the program in the pod needs to know. Sent as JSON; keys are read by run_stage.py. */
export interface PodSpecification {
  readonly stage: string;
  readonly kind: "batch" | "service";
  readonly url: string;
  readonly branch: string | undefined;
  readonly commit: string;
  /** Relative to the repository's root. */
  readonly module: string;
  readonly args: readonly string[];
  readonly requirements: readonly string[];
  readonly requirementsFile: string | undefined;
  /** `3.11`; undefined for whichever Python 3 the image has. Another one than the image's is a warning. */
  readonly python: string | undefined;
  /** Seconds that the module may run; undefined for no limit. */
  readonly timeoutSeconds: number | undefined;
  readonly outputs: Readonly<Record<string, string>>;
  readonly inputs: readonly {
    readonly name: string;
    readonly path: string;
    readonly digest: string;
    readonly kind: "file" | "folder";
    readonly bytes: number;
  }[];
  /** Where artifacts are, and the commit when it is not in `podPaths.sources`. */
  readonly storage: PodStorage | undefined;
  /** Key of the commit's archive in the storage; undefined when it is in `podPaths.sources`. */
  readonly storedSources: string | undefined;
  readonly cacheIsShared: boolean;
  /** Names of the container's variables whose values are masked in all that it prints and reports. */
  readonly secretVariables: readonly string[];
}

/**
 * The container's variables that hold a bucket's keys, by the keys of the Secret that they come from. The stage itself
 * does not see them, so that it can have `AWS_…` variables of its own.
 */
export const storageKeyVariables = {
  AWS_ACCESS_KEY_ID: "BODYWORK_STORAGE_ACCESS_KEY_ID",
  AWS_SECRET_ACCESS_KEY: "BODYWORK_STORAGE_SECRET_ACCESS_KEY",
} as const;

export type PodStorage =
  | { readonly kind: "claim" }
  | {
      readonly kind: "s3";
      readonly bucket: string;
      /** `https://s3.us-east-1.amazonaws.com`. The keys are in `storageKeyVariables`. */
      readonly endpoint: string;
      readonly region: string;
      readonly prefix: string;
    };

/** The last message of a stage's container (`/dev/termination-log`, at most 4,096 bytes), as JSON. */
export interface PodReport {
  readonly status: "succeeded" | "failed";
  /** In the words of an Attempt's reason: `exit 3`, `SIGKILL`, `timed out after 60 s`; undefined when it succeeded. */
  readonly reason?: string;
  /** `requirements`, `sources`, `inputs`, `module`, `outputs`: what was going on when it failed. */
  readonly phase?: string;
  readonly outputs?: readonly StageOutput[];
  readonly pythonVersion?: string;
  /** Of the environment; where it was there already, 0. */
  readonly environmentSeconds?: number;
}

/** The line that the program prints right before the module runs: what follows is the module's own output. */
export const beginsModule = "Attempting to run";
/** The beginning of the line that it prints after the module has failed. */
export const endsFailed = "ERROR    Stage ";
