/**
 * The nouns of a project file, as the rest of the tool sees them once `parse-project` has accepted it.
 * Everything here is data and read-only; defaults are filled in.
 */

/** What `bodywork.yaml` describes at one commit. */
export interface Project {
  /** The schema the file was written in; 1.0 files (`project:`) are read as 1.1. */
  readonly schemaVersion: "1.0" | "1.1";
  readonly pipeline: Pipeline;
  /** In file order, by the name used in the DAG. Includes stages that no step runs. */
  readonly stages: ReadonlyMap<string, Stage>;
  readonly logLevel: LogLevel;
}

export interface Pipeline {
  readonly name: string;
  readonly dockerImage: string;
  /** The DAG as written. */
  readonly dag: string;
  /** The DAG as steps; stages of one step run side by side. */
  readonly steps: readonly (readonly string[])[];
  /** The pipeline's name when the file names none. */
  readonly namespace: string;
  readonly secretsGroup: string | undefined;
  readonly runOnFailure: string | undefined;
  /** `pipeline.python`, such as "3.11"; else what the Docker image's tag says; else undefined (any). */
  readonly python: string | undefined;
}

export type LogLevel = "DEBUG" | "INFO" | "WARNING" | "ERROR" | "CRITICAL";

export type Stage = BatchStage | ServiceStage;

interface StageBase {
  /** As in the file, e.g. `stage_1`. */
  readonly name: string;
  /** Relative to the repository's root; `.py` or `.ipynb`. */
  readonly modulePath: string;
  readonly args: readonly string[];
  readonly cpuRequest: number;
  readonly memoryRequestMb: number;
  /** Cores; undefined means no limit. Only on Kubernetes. */
  readonly cpuLimit: number | undefined;
  /** Mebibytes; undefined means no limit. Of services only on Kubernetes. */
  readonly memoryLimitMb: number | undefined;
  /** Graphics processors (`nvidia.com/gpu`); 0 for none. Only on Kubernetes. */
  readonly gpuRequest: number;
  /** What only Kubernetes knows: of the stage, over that of the pipeline. */
  readonly pod: PodSettings;
  /** Each item is one argument of the installer, as in the original. */
  readonly requirements: readonly string[];
  /** Relative to the repository's root. */
  readonly requirementsFile: string | undefined;
  /** Environment variable (and key) → name of the secret, in file order. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Undefined when the stage has no `needs` key. */
  readonly needs: readonly string[] | undefined;
  /** Artifact name → path relative to the stage's working folder. Batch stages only. */
  readonly outputs: Readonly<Record<string, string>>;
  /** In file order. */
  readonly inputs: readonly StageInput[];
}

/** `kubernetes:` of the pipeline and of a stage. */
export interface PodSettings {
  readonly nodeSelector: Readonly<Record<string, string>>;
  /** As Kubernetes has them. */
  readonly tolerations: readonly Readonly<Record<string, unknown>>[];
  /** Names of secrets in the pipeline's namespace. */
  readonly imagePullSecrets: readonly string[];
  /** Whether the pod gets the token of its service account. */
  readonly serviceAccountToken: boolean;
  /** `restricted`: the Pod Security Standard of that name; images that run as root don't start. */
  readonly security: "baseline" | "restricted";
  /** Further fields of the pod's spec, merged over ours. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** `inputs: {model: train.model}` or `inputs: {model: {from: train.model, path: model.joblib}}`. */
export interface StageInput {
  readonly name: string;
  readonly fromStage: string;
  readonly fromOutput: string;
  /** Where the copy is put, relative to the working folder; the producer's own output path by default. */
  readonly path: string;
}

export interface BatchStage extends StageBase {
  readonly kind: "batch";
  /** Seconds; 0 means no limit. */
  readonly maxCompletionTimeSeconds: number;
  /** Attempts are retries + 1. */
  readonly retries: number;
}

export interface ServiceStage extends StageBase {
  readonly kind: "service";
  readonly maxStartupTimeSeconds: number;
  readonly replicas: number;
  readonly port: number;
  readonly ingress: boolean;
  /** Path that must answer 2xx before the replica is ready, and anything later on; any TCP answer when undefined. */
  readonly healthPath: string | undefined;
}

/** One thing wrong with a project file, or odd about it, with its address in the file. */
export interface Problem {
  readonly severity: "error" | "warning";
  /** Stable, kebab-case, e.g. `unknown-key`, `required-field`. */
  readonly code: string;
  /** `stages.train.batch.retries`; empty for the whole file. */
  readonly path: string;
  /** The full line a user reads, in the original's form for errors: `stages.x.args -> must be of list type`. */
  readonly message: string;
  /** 1-based; undefined when the problem has no place (a missing file). */
  readonly line: number | undefined;
  readonly column: number | undefined;
}
