import { type ParsedProject, parseProject } from "../../../src/core/parse-project.ts";
import type { Project } from "../../../src/core/project.ts";

/** YAML as written, or keys below; undefined leaves the key out. */
export type Written = string | undefined | { readonly [key: string]: Written };

const base = {
  version: '"1.1"',
  pipeline: {
    name: "tide-tables",
    docker_image: "python:3.12-slim",
    DAG: "measure >> forecast",
  },
  stages: {
    measure: {
      executable_module_path: "tides/measure.py",
      cpu_request: "0.5",
      memory_request_mb: "120",
      batch: { max_completion_time_seconds: "40", retries: "1" },
    },
    forecast: {
      executable_module_path: "tides/forecast.py",
      cpu_request: "0.25",
      memory_request_mb: "90",
      service: { max_startup_time_seconds: "30", replicas: "2", port: "7000", ingress: "true" },
    },
  },
  logging: { log_level: "INFO" },
} satisfies Written;

/** A valid file with changes at dotted paths: `{ "stages.measure.args": "[a]" }`. */
export function fileWith(changes: Readonly<Record<string, Written>> = {}): string {
  const root = structuredClone(base) as Record<string, Written>;
  for (const [path, written] of Object.entries(changes)) {
    const keys = path.split(".");
    const last = keys.pop() ?? "";
    let at = root;
    for (const key of keys) {
      if (typeof at[key] !== "object") at[key] = {};
      at = at[key] as Record<string, Written>;
    }
    at[last] = written;
  }
  return emit(root, "");
}

/** A stage for `fileWith`, with further keys. */
export function batchStage(more: Readonly<Record<string, Written>> = {}): Written {
  return { ...base.stages.measure, ...more };
}

export function serviceStage(more: Readonly<Record<string, Written>> = {}): Written {
  return { ...base.stages.forecast, ...more };
}

function emit(map: { readonly [key: string]: Written }, indent: string): string {
  return Object.entries(map)
    .map(([key, written]) => {
      if (written === undefined) return "";
      if (typeof written === "string") return `${indent}${key}: ${written}\n`;
      const inner = emit(written, `${indent}  `);
      return inner === "" ? `${indent}${key}: {}\n` : `${indent}${key}:\n${inner}`;
    })
    .join("");
}

export function parse(text: string | Uint8Array, files?: { has(path: string): boolean }): ParsedProject {
  return parseProject(text, { fileName: "bodywork.yaml", files });
}

export function errorsOf(
  text: string | Uint8Array,
  files?: { has(path: string): boolean },
): readonly string[] {
  return parse(text, files)
    .problems.filter(({ severity }) => severity === "error")
    .map(({ message }) => message);
}

export function warningsOf(text: string | Uint8Array): readonly string[] {
  return parse(text)
    .problems.filter(({ severity }) => severity === "warning")
    .map(({ message }) => message);
}

/** Throws when the file is not valid. */
export function projectOf(text: string): Project {
  const { project, problems } = parse(text);
  if (project === undefined) throw new Error(problems.map(({ message }) => message).join("\n"));
  return project;
}
