/** Parts of a project file that passed their checks → the nouns of project.ts. */

import { entriesByName } from "./check-value.ts";
import { pythonOfImage } from "./docker-image.ts";
import type { LogLevel, Pipeline, PodSettings, Stage, StageInput } from "./project.ts";
import type { YamlEntry, YamlMap, YamlValue } from "./yaml/values.ts";

export function buildPipeline(map: YamlMap, steps: Pipeline["steps"]): Pipeline {
  const fields = new Fields(map);
  const name = withoutLineBreak(fields.text("name") ?? "");
  const dockerImage = fields.text("docker_image") ?? "";
  return {
    name,
    dockerImage,
    dag: fields.text("DAG") ?? "",
    steps,
    // An empty text is the original's word for none.
    namespace: fields.text("namespace") || name,
    secretsGroup: fields.text("secrets_group") || undefined,
    runOnFailure: fields.text("run_on_failure") || undefined,
    python: fields.text("python") ?? pythonOfImage(dockerImage),
  };
}

export function buildLogLevel(map: YamlMap): LogLevel {
  // The check allows no other text.
  return new Fields(map).text("log_level") as LogLevel;
}

/**
 * All at once, for an input's path may be that of another stage's output. `pipeline` has the defaults of their pods; it is
 * undefined when the section has faults.
 */
export function buildStages(
  maps: ReadonlyMap<string, YamlMap>,
  pipeline: YamlMap | undefined,
): ReadonlyMap<string, Stage> {
  const outputs = new Map([...maps].map(([name, map]) => [name, new Fields(map).texts("outputs")]));
  const pod = buildPod(pipeline && new Fields(pipeline).section("kubernetes"), ofEveryPod);
  return new Map([...maps].map(([name, map]) => [name, buildStage(name, new Fields(map), outputs, pod)]));
}

const ofEveryPod: PodSettings = {
  nodeSelector: {},
  tolerations: [],
  imagePullSecrets: [],
  serviceAccountToken: false,
  security: "baseline",
  extra: {},
};

/** What the fields say, over `below`. */
function buildPod(fields: Fields | undefined, below: PodSettings): PodSettings {
  if (fields === undefined) return below;
  return {
    nodeSelector: { ...below.nodeSelector, ...fields.texts("node_selector") },
    // The check lets nothing but mappings through.
    tolerations: (fields.plain("tolerations") as PodSettings["tolerations"] | undefined) ?? below.tolerations,
    imagePullSecrets: fields.list("image_pull_secrets")?.map(withoutLineBreak) ?? below.imagePullSecrets,
    serviceAccountToken: fields.flag("service_account_token") ?? below.serviceAccountToken,
    // Nor any other text.
    security: (fields.text("security") as PodSettings["security"] | undefined) ?? below.security,
    extra: mergedMaps(below.extra, (fields.plain("extra") as PodSettings["extra"] | undefined) ?? {}),
  };
}

/** Mappings key by key, at every depth; everything else of `above` replaces. */
function mergedMaps(below: PlainMap, above: PlainMap): PlainMap {
  const merged = Object.entries(above).map(([key, value]) => {
    const under = Object.hasOwn(below, key) ? below[key] : undefined;
    return [key, isPlainMap(under) && isPlainMap(value) ? mergedMaps(under, value) : value] as const;
  });
  return { ...below, ...Object.fromEntries(merged) };
}

type PlainMap = Readonly<Record<string, unknown>>;

function isPlainMap(value: unknown): value is PlainMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function buildStage(
  name: string,
  fields: Fields,
  outputs: ReadonlyMap<string, Texts>,
  pod: PodSettings,
): Stage {
  const base = {
    name,
    modulePath: withoutLineBreak(fields.text("executable_module_path") ?? ""),
    args: fields.list("args") ?? [],
    cpuRequest: fields.number("cpu_request") ?? 0,
    memoryRequestMb: fields.number("memory_request_mb") ?? 0,
    cpuLimit: fields.number("cpu_limit"),
    memoryLimitMb: (fields.section("batch") ?? fields.section("service"))?.number("memory_limit_mb"),
    gpuRequest: fields.number("gpu_request") ?? 0,
    pod: buildPod(fields.section("kubernetes"), pod),
    requirements: fields.list("requirements") ?? [],
    requirementsFile: fields.text("requirements_file"),
    secrets: fields.texts("secrets", withoutLineBreak),
    needs: fields.list("needs"),
    outputs: fields.texts("outputs"),
    inputs: buildInputs(fields.map("inputs"), outputs),
  };
  const batch = fields.section("batch");
  if (batch !== undefined) {
    return {
      ...base,
      kind: "batch",
      maxCompletionTimeSeconds: batch.number("max_completion_time_seconds") ?? 0,
      retries: batch.number("retries") ?? 0,
    };
  }
  const service = fields.section("service");
  return {
    ...base,
    kind: "service",
    maxStartupTimeSeconds: service?.number("max_startup_time_seconds") ?? 0,
    replicas: service?.number("replicas") ?? 0,
    port: service?.number("port") ?? 0,
    ingress: service?.flag("ingress") ?? false,
    healthPath: service?.text("health_path"),
  };
}

function buildInputs(map: YamlMap | undefined, outputs: ReadonlyMap<string, Texts>): readonly StageInput[] {
  return [...(map === undefined ? [] : entriesByName(map))].map(([name, { value }]) => {
    const fields = value.kind === "map" ? new Fields(value) : undefined;
    const from = fields?.text("from") ?? textOf(value) ?? "";
    // The last dot: a stage's name may hold dots, an output's may not.
    const dot = from.lastIndexOf(".");
    const fromStage = from.slice(0, dot);
    const fromOutput = from.slice(dot + 1);
    const made = outputs.get(fromStage) ?? {};
    const itsPath = Object.hasOwn(made, fromOutput) ? made[fromOutput] : undefined;
    // Whether the stage has that output is checked with the other links between stages.
    return { name, fromStage, fromOutput, path: fields?.text("path") ?? itsPath ?? fromOutput };
  });
}

type Texts = Readonly<Record<string, string>>;

/** The original's patterns let a last line break through, which nobody means. */
function withoutLineBreak(text: string): string {
  return text.replace(/\n$/, "");
}

function textOf(value: YamlValue | undefined): string | undefined {
  return value?.kind === "string" ? value.value : undefined;
}

/** Of what the check has found sayable in JSON. */
function plainValue(value: YamlValue): unknown {
  switch (value.kind) {
    case "null":
    case "set":
      return null;
    case "list":
      return value.items.map(plainValue);
    case "map":
      return Object.fromEntries(
        [...entriesByName(value)].map(([key, entry]) => [key, plainValue(entry.value)]),
      );
    default:
      return value.value;
  }
}

/** Reads checked values; undefined when a key is left out. */
class Fields {
  readonly #entries: ReadonlyMap<string, YamlEntry>;

  constructor(map: YamlMap) {
    this.#entries = entriesByName(map);
  }

  text(key: string): string | undefined {
    return textOf(this.#value(key));
  }

  /** `true` and `false` are 1 and 0, as in Python. */
  number(key: string): number | undefined {
    const value = this.#value(key);
    return value?.kind === "int" || value?.kind === "float" || value?.kind === "bool"
      ? Number(value.value)
      : undefined;
  }

  flag(key: string): boolean | undefined {
    const value = this.#value(key);
    return value?.kind === "bool" ? value.value : undefined;
  }

  list(key: string): readonly string[] | undefined {
    const value = this.#value(key);
    return value?.kind === "list" ? value.items.flatMap((item) => textOf(item) ?? []) : undefined;
  }

  /** Empty when the key is left out. */
  texts(key: string, change = (text: string): string => text): Texts {
    const map = this.map(key);
    const entries = [...(map === undefined ? [] : entriesByName(map))];
    return Object.fromEntries(entries.map(([name, { value }]) => [name, change(textOf(value) ?? "")]));
  }

  map(key: string): YamlMap | undefined {
    const value = this.#value(key);
    return value?.kind === "map" ? value : undefined;
  }

  /** As JSON has it. */
  plain(key: string): unknown {
    const value = this.#value(key);
    return value && plainValue(value);
  }

  section(key: string): Fields | undefined {
    const map = this.map(key);
    return map && new Fields(map);
  }

  #value(key: string): YamlValue | undefined {
    return this.#entries.get(key)?.value;
  }
}
