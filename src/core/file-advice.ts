/** Warnings about the text of a project file itself: keys that mean nothing, repeated keys, texts that are no texts. */

import { entriesByName, shownKey } from "./check-value.ts";
import { nearName } from "./near-name.ts";
import {
  kindKeys,
  loggingKeys,
  pipelineKeys,
  podKeys,
  type SchemaVersion,
  schemaVersions,
  stageKeys,
} from "./project-schema.ts";
import type { Place } from "./yaml/problem.ts";
import type { RepeatedKey, YamlMap, YamlValue } from "./yaml/values.ts";

/** A warning with its place. */
export interface Advice {
  readonly code: string;
  readonly path: string;
  readonly text: string;
  readonly place: Place;
}

export function fileAdvice(
  root: YamlMap,
  version: SchemaVersion,
  repeated: readonly RepeatedKey[],
): readonly Advice[] {
  const { section } = schemaVersions[version];
  const sections = entriesByName(root);
  const pipeline = sections.get(section)?.value;
  return [
    ...unknownKeys(root, [], ["version", section, "stages", "logging"]),
    ...unknownKeys(pipeline, [section], Object.keys(pipelineKeys)),
    ...unknownKeys(valueAt(pipeline, "kubernetes"), [section, "kubernetes"], Object.keys(podKeys)),
    ...unknownKeys(sections.get("logging")?.value, ["logging"], Object.keys(loggingKeys)),
    ...stageAdvice(sections.get("stages")?.value, Object.keys(stageKeys(version))),
    ...unquotedAdvice(sections.get("version")?.value, ["version"], "1.1"),
    ...unquotedAdvice(valueAt(pipeline, "python"), [section, "python"], "3.11"),
    ...lineBreakAdvice(valueAt(pipeline, "name"), [section, "name"]),
    ...repeated.map(({ key, first, line, column }) => ({
      code: "repeated-key",
      path: shownKey(key),
      text: `repeats the key of line ${first.line}; the last one counts`,
      place: { line, column },
    })),
  ];
}

function stageAdvice(stages: YamlValue | undefined, known: readonly string[]): readonly Advice[] {
  if (stages?.kind !== "map") return [];
  return stages.entries.flatMap(({ key, value }): readonly Advice[] => {
    const at = ["stages", shownKey(key)];
    const name =
      key.kind === "string"
        ? []
        : [
            {
              code: "stage-name-type",
              path: at.join("."),
              text: `is a name of type ${key.kind}, which the DAG cannot name; put it in quotes`,
              place: key,
            },
          ];
    return [
      ...name,
      ...unknownKeys(value, at, [...known, "batch", "service"]),
      ...unknownKeys(valueAt(value, "kubernetes"), [...at, "kubernetes"], Object.keys(podKeys)),
      ...Object.entries(kindKeys).flatMap(([kind, keys]) =>
        unknownKeys(valueAt(value, kind), [...at, kind], Object.keys(keys)),
      ),
    ];
  });
}

function unknownKeys(
  map: YamlValue | undefined,
  at: readonly string[],
  known: readonly string[],
): readonly Advice[] {
  if (map?.kind !== "map") return [];
  return map.entries.flatMap(({ key }): Advice[] => {
    const name = shownKey(key);
    if (key.kind === "string" && known.includes(name)) return [];
    // Where people keep what their anchors name.
    if (at.length === 0 && /^[x.]/.test(name) && nearName(name, known) === undefined) return [];
    const meant = formerNames[name] ?? nearName(name, known);
    const hint = meant !== undefined && known.includes(meant) ? `; did you mean ${meant}?` : "";
    return [
      { code: "unknown-key", path: [...at, name].join("."), text: `unknown key, ignored${hint}`, place: key },
    ];
  });
}

/** What keys were called in earlier versions of the original, and a name that no rule of nearness finds. */
const formerNames: Readonly<Partial<Record<string, string>>> = {
  project: "pipeline",
  executable_module: "executable_module_path",
  executable_script: "executable_module_path",
};

/** The commonest way to get a version wrong. */
function unquotedAdvice(
  value: YamlValue | undefined,
  at: readonly string[],
  example: string,
): readonly Advice[] {
  if (value?.kind !== "float" && value?.kind !== "int") return [];
  const path = at.join(".");
  const text = `is a number here; a version is a text and needs quotes, as in "${example}"`;
  return [{ code: "version-unquoted", path, text, place: value }];
}

function lineBreakAdvice(value: YamlValue | undefined, at: readonly string[]): readonly Advice[] {
  if (value?.kind !== "string" || !value.value.endsWith("\n")) return [];
  return [
    {
      code: "line-break",
      path: at.join("."),
      text: "ends with a line break, which is left out",
      place: value,
    },
  ];
}

function valueAt(map: YamlValue | undefined, key: string): YamlValue | undefined {
  return map?.kind === "map" ? entriesByName(map).get(key)?.value : undefined;
}
