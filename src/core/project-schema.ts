/**
 * The one description of a project file. The checker (check-value.ts), the JSON Schema (json-schema.ts) and
 * docs/reference/project-file.md are derived from it. How the parts fit together (names in the DAG, needs, inputs) is in
 * project-links.ts.
 */

import { mostDagNames } from "./dag.ts";

/**
 * What a value must be. In Python's terms where they show: numbers may be `true` and `false`, as in the original. A float
 * that must be `above` its minimum may not be it.
 */
export type ValueSpec =
  | { readonly kind: "string"; readonly pattern?: Pattern; readonly allowed?: readonly string[] }
  | { readonly kind: "integer"; readonly min: number }
  | { readonly kind: "float"; readonly min: number; readonly above?: true }
  | { readonly kind: "boolean" }
  | { readonly kind: "list"; readonly items: ValueSpec }
  | { readonly kind: "dict"; readonly keyPattern?: Pattern; readonly values: ValueSpec }
  | { readonly kind: "string or dict"; readonly text: StringSpec; readonly keys: Keys }
  | { readonly kind: "section"; readonly keys: Keys }
  /** Whatever JSON can say too. */
  | { readonly kind: "any" };

type StringSpec = Extract<ValueSpec, { kind: "string" }>;

/** The whole text must match. */
export interface Pattern {
  /** As messages show it: where the original has the pattern, in its form. */
  readonly shown: string;
  readonly form: RegExp;
}

export interface KeySpec {
  readonly value: ValueSpec;
  readonly required?: true;
  /** One or more sentences for the reference and for editors. */
  readonly summary: string;
  /** What holds when the key is left out, for the reference. */
  readonly default?: string;
  /** Not in the original. */
  readonly added?: true;
}

export type Keys = Readonly<Record<string, KeySpec>>;

export type SchemaVersion = "1.0" | "1.1";

/** Schema 1.0 differs in the name of one section and in taking no notebooks. */
export const schemaVersions: Readonly<
  Record<SchemaVersion, { readonly section: "project" | "pipeline"; readonly modulePath: Pattern }>
> = {
  // A pattern of the original also matches before a last line break; files that end a value with one stay valid.
  "1.1": {
    section: "pipeline",
    modulePath: { shown: ".+\\.(py|ipynb)$", form: /^[^\n]+\.(?:py|ipynb)\n?$/ },
  },
  "1.0": { section: "project", modulePath: { shown: ".+(\\.py$)", form: /^[^\n]+\.py\n?$/ } },
};

const name: Pattern = { shown: "[a-zA-Z0-9-\\.]+", form: /^[a-zA-Z0-9.-]+\n?$/ };
const label: Pattern = { shown: "[a-zA-Z0-9_-]+", form: /^[a-zA-Z0-9_-]+$/ };
const path: Pattern = { shown: "[^/].*", form: /^[^/\n][^\n]*$/ };
const outputReference: Pattern = { shown: "STAGE.OUTPUT", form: /^[^\n]+\.[a-zA-Z0-9_-]+$/ };

export const topLevelSummaries = {
  version: 'Version of the schema, in quotes: `"1.1"`. Files of version `"1.0"` are read too.',
  pipeline: "What is deployed. Called `project` in schema 1.0.",
  stages: "The stages, by name. A stage has either `batch` or `service`.",
  logging: "How much is logged.",
} as const;

/** `kubernetes` of the pipeline and of a stage. Nothing of it means anything to the local engine. */
export const podKeys: Keys = {
  node_selector: {
    value: { kind: "dict", values: { kind: "string" } },
    summary: "Labels that a node must have to run the stage.",
    default: "{}",
  },
  tolerations: {
    value: { kind: "list", items: { kind: "dict", values: { kind: "any" } } },
    summary: "Taints of nodes that the stage puts up with, as Kubernetes writes them.",
    default: "[]",
  },
  image_pull_secrets: {
    value: { kind: "list", items: { kind: "string", pattern: name } },
    summary: "Secrets of the pipeline's namespace with which a private registry gives out the image.",
    default: "[]",
  },
  service_account_token: {
    value: { kind: "boolean" },
    summary: "Whether the pod gets the token of the service account `bodywork-stage`, to talk to Kubernetes.",
    default: "false",
  },
  security: {
    value: { kind: "string", allowed: ["baseline", "restricted"] },
    summary:
      "The Pod Security Standard that the pod keeps to. With `restricted` an image that runs as root does not start.",
    default: "baseline",
  },
  extra: {
    value: { kind: "dict", values: { kind: "any" } },
    summary: "Further fields of the pod's specification, merged over those that Bodywork writes.",
    default: "{}",
  },
};

export const pipelineKeys: Keys = {
  name: {
    required: true,
    value: { kind: "string", pattern: name },
    summary: "Name of the deployment: letters, digits, hyphens and dots.",
  },
  docker_image: {
    required: true,
    value: { kind: "string" },
    summary:
      "Image that the stages run in on Kubernetes. The local engine takes no more from it than the version of Python.",
  },
  DAG: {
    required: true,
    value: { kind: "string" },
    summary: `Which stages run, and in what order: \`a, b >> c\`. At most ${mostDagNames} names.`,
  },
  usage_stats: {
    value: { kind: "boolean" },
    summary: "Kept for files of the original. Nothing is ever reported to anyone.",
    default: "true",
  },
  run_on_failure: {
    value: { kind: "string" },
    summary: "Batch stage to run when the workflow fails; it need not be in the DAG.",
    default: "none",
  },
  namespace: {
    value: { kind: "string" },
    summary: "Namespace to deploy to.",
    default: "the pipeline's name",
  },
  secrets_group: {
    value: { kind: "string" },
    summary: "Group of the secrets that the stages use.",
    default: "the pipeline's name",
  },
  python: {
    added: true,
    value: { kind: "string", pattern: { shown: "3.N", form: /^3\.\d{1,3}(?:\.\d{1,3})?$/ } },
    summary: 'Version of Python for the stages, in quotes: `"3.11"`.',
    default: "what the tag of `docker_image` says, else any",
  },
  kubernetes: {
    added: true,
    value: { kind: "section", keys: podKeys },
    summary:
      "Only on Kubernetes: settings of the stages' pods. What a stage's own `kubernetes` says wins, key by key, also in the mappings; lists replace.",
    default: "{}",
  },
};

export const loggingKeys: Keys = {
  log_level: {
    required: true,
    value: { kind: "string", allowed: ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] },
    summary: "Messages below this level are not shown.",
  },
};

/** The keys of a stage beside `batch` and `service`. */
export function stageKeys(version: SchemaVersion): Keys {
  return {
    executable_module_path: {
      required: true,
      value: { kind: "string", pattern: schemaVersions[version].modulePath },
      summary: "The Python module or notebook to run, relative to the repository's root.",
    },
    args: {
      value: { kind: "list", items: { kind: "string" } },
      summary: 'Arguments for the module. Numbers must be in quotes: `"1"`.',
      default: "[]",
    },
    cpu_request: {
      required: true,
      value: { kind: "float", min: 0 },
      summary: "Processor cores to reserve.",
    },
    memory_request_mb: {
      required: true,
      value: { kind: "integer", min: 0 },
      summary: "Memory to reserve, in megabytes.",
    },
    cpu_limit: {
      added: true,
      value: { kind: "float", min: 0, above: true },
      summary: "Only on Kubernetes: processor cores that the stage may use.",
      default: "no limit",
    },
    gpu_request: {
      added: true,
      value: { kind: "integer", min: 0 },
      summary: "Only on Kubernetes: graphics processors (`nvidia.com/gpu`) that the stage gets for itself.",
      default: "0",
    },
    kubernetes: {
      added: true,
      value: { kind: "section", keys: podKeys },
      summary: "Only on Kubernetes: settings of the stage's pods.",
      default: "those of the pipeline",
    },
    requirements: {
      value: { kind: "list", items: { kind: "string" } },
      summary: "Packages to install, each item one argument of `pip install`.",
      default: "[]",
    },
    requirements_file: {
      added: true,
      value: { kind: "string", pattern: path },
      summary: "A requirements file to install as well, relative to the repository's root.",
      default: "none",
    },
    secrets: {
      value: { kind: "dict", values: { kind: "string", pattern: name } },
      summary:
        "Environment variables from secrets: the variable, which is also the key in the secret, and the secret's name. A secret wins over every other variable; it may not be `PATH`, `PYTHONPATH`, `PYTHONHOME`, `VIRTUAL_ENV`, nor begin with `LD_`, `DYLD_` or `BODYWORK_`.",
      default: "{}",
    },
    needs: {
      added: true,
      value: { kind: "list", items: { kind: "string" } },
      summary:
        "Stages that must have succeeded (services: be serving) before this one starts. When any stage has this key, it alone decides the order.",
      default: "the order of the DAG's steps",
    },
    outputs: {
      added: true,
      value: { kind: "dict", keyPattern: label, values: { kind: "string", pattern: path } },
      summary:
        "Files and folders that a batch stage makes and others use: a name, and the path relative to the module's folder.",
      default: "{}",
    },
    inputs: {
      added: true,
      value: {
        kind: "dict",
        keyPattern: label,
        values: {
          kind: "string or dict",
          text: { kind: "string", pattern: outputReference },
          keys: {
            from: {
              required: true,
              value: { kind: "string", pattern: outputReference },
              summary: "`STAGE.OUTPUT`: the stage that makes it, and the output's name.",
            },
            path: {
              value: { kind: "string", pattern: path },
              summary: "Where the copy is put, relative to the module's folder.",
              default: "the output's own path",
            },
          },
        },
      },
      summary:
        "Outputs of earlier stages to put beside the module before it starts: a name, and `STAGE.OUTPUT` or `{from, path}`.",
      default: "{}",
    },
  };
}

/** A stage has one of these. */
export const kindKeys: Readonly<Record<"batch" | "service", Keys>> = {
  batch: {
    max_completion_time_seconds: {
      required: true,
      value: { kind: "integer", min: 0 },
      summary: "Seconds that an attempt may take; 0 means no limit.",
    },
    retries: {
      required: true,
      value: { kind: "integer", min: 0 },
      summary: "How often a failed attempt is followed by another.",
    },
    memory_limit_mb: {
      added: true,
      value: { kind: "integer", min: 1 },
      summary: "Memory that the stage may use, in mebibytes; it is ended when it wants more.",
      default: "no limit",
    },
  },
  service: {
    max_startup_time_seconds: {
      required: true,
      value: { kind: "integer", min: 0 },
      summary: "Seconds that a replica may take until it is ready.",
    },
    replicas: {
      required: true,
      value: { kind: "integer", min: 0 },
      summary: "How many replicas share the requests.",
    },
    port: {
      required: true,
      value: { kind: "integer", min: 0 },
      summary: "Port that the module listens on.",
    },
    ingress: {
      required: true,
      value: { kind: "boolean" },
      summary: "Whether the service can be reached from outside, at `/NAMESPACE/STAGE/`.",
    },
    memory_limit_mb: {
      added: true,
      value: { kind: "integer", min: 1 },
      summary:
        "Only on Kubernetes: memory that a replica may use, in mebibytes; it is ended and started again when it wants more.",
      default: "no limit",
    },
    health_path: {
      added: true,
      value: { kind: "string", pattern: { shown: "/.*", form: /^\/[\x21-\x7e]*$/ } },
      summary:
        "Path that must answer 2xx before a replica gets requests; later one that answers nothing there for a minute is restarted.",
      default: "none: an open port is enough",
    },
  },
};
