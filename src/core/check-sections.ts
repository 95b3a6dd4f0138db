/** The sections of a project file against their description: every fault that shows without looking at another section. */

import { checkKeys, entriesByName, faultOf, shownKey } from "./check-value.ts";
import { mostDagNames, parseDag } from "./dag.ts";
import { problem } from "./problem.ts";
import type { Pipeline, Problem } from "./project.ts";
import { type Keys, kindKeys, type SchemaVersion, stageKeys } from "./project-schema.ts";
import { pathInRepository } from "./repository-path.ts";
import type { Place } from "./yaml/problem.ts";
import type { YamlEntry, YamlMap } from "./yaml/values.ts";

export interface ProjectFiles {
  has(path: string): boolean;
}

/** The section when it is a mapping, whatever is wrong inside it. */
export function checkSection(
  map: YamlMap,
  key: string,
  keys: Keys,
  errors: Problem[],
  at: readonly string[] = [],
): YamlMap | undefined {
  const entry = entriesByName(map).get(key);
  const path = [...at, key].join(".");
  if (entry === undefined) return undefined;
  if (entry.value.kind !== "map") {
    const fault = faultOf(entry.value, { kind: "dict", values: { kind: "string" } });
    if (fault !== undefined) errors.push(reported(path, fault));
    return undefined;
  }
  errors.push(
    ...checkKeys(entry.value, keys, entry.key).map((finding) => reported(`${path}.${finding.key}`, finding)),
  );
  return entry.value;
}

function reported(
  path: string,
  { code, reason, place }: { code: string; reason: string; place: Place },
): Problem {
  return problem("error", code, path, `${path} -> ${reason}`, place);
}

/** The steps; also of a section with other faults. */
export function readDag(
  pipeline: YamlMap,
  section: string,
  errors: Problem[],
): Pipeline["steps"] | undefined {
  const value = entriesByName(pipeline).get("DAG")?.value;
  if (value?.kind !== "string") return undefined;
  const dag = parseDag(value.value);
  if (dag.ok) return dag.steps;
  const reason =
    dag.emptySteps === undefined
      ? `names more than ${mostDagNames} stages`
      : `null stages found in step ${dag.emptySteps.join(", ")} when parsing DAG definition`;
  errors.push(reported(`${section}.DAG`, { code: "dag", reason, place: value }));
  return undefined;
}

interface CheckedStages {
  /** Those without faults, by names that the DAG can name. */
  readonly sound: ReadonlyMap<string, YamlMap>;
  /** Those that are either batch or service, sound or not. */
  readonly present: ReadonlySet<string>;
}

export function checkStages(
  root: YamlMap,
  version: SchemaVersion,
  files: ProjectFiles | undefined,
  errors: Problem[],
): CheckedStages {
  const sound = new Map<string, YamlMap>();
  const present = new Set<string>();
  const stages = entriesByName(root).get("stages");
  if (stages?.value.kind !== "map") {
    const message = "stages._ - no stage configs provided";
    errors.push(problem("error", "no-stages", "stages", message, stages?.value));
    return { sound, present };
  }
  const keys = stageKeys(version);
  for (const entry of stages.value.entries) {
    const found = checkStage(entry, keys, files);
    errors.push(...found.errors);
    // A name that is no text is a stage that nobody can name.
    if (entry.key.kind !== "string" || !found.isPresent) continue;
    present.add(entry.key.value);
    if (found.errors.length === 0 && entry.value.kind === "map") sound.set(entry.key.value, entry.value);
  }
  return { sound, present };
}

function checkStage(
  { key, value }: YamlEntry,
  keys: Keys,
  files: ProjectFiles | undefined,
): { readonly errors: readonly Problem[]; readonly isPresent: boolean } {
  const path = `stages.${shownKey(key)}`;
  const errors: Problem[] = [];
  const kinds =
    value.kind === "map"
      ? (["batch", "service"] as const).filter((kind) => entriesByName(value).has(kind))
      : [];
  const [kind] = kinds;
  if (value.kind !== "map" || kind === undefined || kinds.length !== 1) {
    const fault =
      value.kind === "map" ? undefined : faultOf(value, { kind: "dict", values: { kind: "string" } });
    if (fault !== undefined) errors.push(reported(path, fault));
    const kindPath = `${path}.batch/service`;
    errors.push(problem("error", "batch-or-service", kindPath, kindPath, key));
    return { errors, isPresent: false };
  }
  errors.push(...checkKeys(value, keys, key).map((finding) => reported(`${path}.${finding.key}`, finding)));
  errors.push(...(files === undefined ? [] : missingFiles(value, path, keys, files)));
  checkSection(value, kind, kindKeys[kind], errors, ["stages", shownKey(key)]);
  return { errors, isPresent: true };
}

function missingFiles(stage: YamlMap, path: string, keys: Keys, files: ProjectFiles): readonly Problem[] {
  const entries = entriesByName(stage);
  return ["executable_module_path", "requirements_file"].flatMap((key): Problem[] => {
    const value = entries.get(key)?.value;
    const spec = keys[key]?.value;
    if (value?.kind !== "string" || spec === undefined || faultOf(value, spec) !== undefined) return [];
    const file = value.value.replace(/\n$/, "");
    if (files.has(pathInRepository("", file) ?? file)) return [];
    return [reported(`${path}.${key}`, { code: "file-missing", reason: "does not exist", place: value })];
  });
}
