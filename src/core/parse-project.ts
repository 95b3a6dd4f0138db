import about from "../../package.json" with { type: "json" };
import { buildLogLevel, buildPipeline, buildStages } from "./build-project.ts";
import { checkSection, checkStages, type ProjectFiles, readDag } from "./check-sections.ts";
import { compareTexts, entriesByName } from "./check-value.ts";
import { fileAdvice } from "./file-advice.ts";
import { Places, startOfFile } from "./places.ts";
import { problem } from "./problem.ts";
import type { Problem, Project } from "./project.ts";
import { type Issue, linkIssues, type ProjectDraft } from "./project-links.ts";
import { adviceIssues, refusedIssues } from "./project-rules.ts";
import { loggingKeys, pipelineKeys, type SchemaVersion, schemaVersions } from "./project-schema.ts";
import type { Place } from "./yaml/problem.ts";
import { readYaml } from "./yaml/read-yaml.ts";
import type { YamlMap, YamlValue } from "./yaml/values.ts";

export interface ParsedProject {
  /** Undefined when there are errors. */
  readonly project: Project | undefined;
  /** The errors, sorted by their message, then the warnings in the order of the file. */
  readonly problems: readonly Problem[];
}

/**
 * Reads a project file and finds everything that is wrong with it at once. Never throws. With `files`, the files that it
 * names must be among them; they are asked for by plain paths from the repository's root, and by the path as written
 * where that leads outside. A problem with an empty `path` is one of the file as a whole, and then the only error.
 */
export function parseProject(
  input: Uint8Array | string,
  { fileName, files }: { readonly fileName: string; readonly files?: ProjectFiles | undefined },
): ParsedProject {
  const read = readYaml(input);
  if (!read.ok) return refused(read.code, `Cannot parse YAML from ${fileName}: ${read.message}`, read.place);
  if (read.value?.kind !== "map") {
    const found = read.value === undefined ? "it holds nothing" : "its top level is no mapping of keys";
    return refused("yaml-not-mapping", `Cannot parse YAML from ${fileName}: ${found}`, read.value);
  }

  const root = read.value;
  const version = schemaVersionOf(root);
  const advice = fileAdvice(root, version, read.repeated).map(
    ({ code, path, text, place }): Problem => problem("warning", code, path, `${path} -> ${text}`, place),
  );
  const missing = missingSections(root, version);
  if (missing.length > 0) {
    const message = `Bodywork config file missing sections: ${missing.join(", ")}`;
    return refused("missing-sections", message, startOfFile, advice);
  }
  const mismatch = versionProblem(root, version);
  if (mismatch !== undefined) return { project: undefined, problems: [mismatch, ...sortedByPlace(advice)] };
  return parseSections(root, version, files, advice);
}

function refused(
  code: string,
  message: string,
  place: Place | undefined,
  advice: readonly Problem[] = [],
): ParsedProject {
  return {
    project: undefined,
    problems: [problem("error", code, "", message, place), ...sortedByPlace(advice)],
  };
}

function sortedByPlace(problems: readonly Problem[]): readonly Problem[] {
  return problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

/**
 * A file that says 1.0 and has the section of 1.0 is one, and so is one with only that section whose version is no text
 * (`version: 1.0`): what is wrong with it is the version. Everything else is held to 1.1.
 */
function schemaVersionOf(root: YamlMap): SchemaVersion {
  const sections = entriesByName(root);
  const version = sections.get("version")?.value;
  if (version === undefined || !sections.has("project")) return "1.1";
  const text = versionText(version);
  return text === "1.0" || (text === undefined && !sections.has("pipeline")) ? "1.0" : "1.1";
}

/** A text with one dot is a version, of another schema perhaps; anything else is none. */
function versionText(value: YamlValue): string | undefined {
  return value.kind === "string" && value.value.split(".").length === 2 ? value.value : undefined;
}

function missingSections(root: YamlMap, version: SchemaVersion): readonly string[] {
  const sections = entriesByName(root);
  const wanted = ["version", schemaVersions[version].section, "stages", "logging"];
  return wanted.filter((section) => !sections.has(section));
}

function versionProblem(root: YamlMap, version: SchemaVersion): Problem | undefined {
  const value = entriesByName(root).get("version")?.value;
  const text = value && versionText(value);
  if (text === undefined) return problem("error", "version", "version", "version", value);
  if (text === version) return undefined;
  const message = `Bodywork config file has schema version ${text}, when Bodywork version ${about.version} requires schema version 1.1`;
  return problem("error", "schema-version", "", message, value);
}

function parseSections(
  root: YamlMap,
  version: SchemaVersion,
  files: ProjectFiles | undefined,
  advice: readonly Problem[],
): ParsedProject {
  const { section } = schemaVersions[version];
  const errors: Problem[] = [];
  const pipelineMap = checkSection(root, section, pipelineKeys, errors);
  const steps = pipelineMap && readDag(pipelineMap, section, errors);
  const pipelineIsSound = errors.length === 0;
  const loggingMap = checkSection(root, "logging", loggingKeys, errors);
  const { sound, present } = checkStages(root, version, files, errors);

  const stages = buildStages(sound, pipelineIsSound ? pipelineMap : undefined);
  const pipeline = pipelineMap && buildPipeline(pipelineMap, steps ?? []);
  const draft: ProjectDraft = {
    section,
    pipeline: pipelineIsSound ? pipeline : undefined,
    steps,
    runOnFailure: pipeline?.runOnFailure,
    stages,
    present,
  };
  const places = new Places(root);
  // One by one: a file can hold more of them than a call can take arguments.
  for (const issue of linkIssues(draft)) errors.push(placed("error", issue, places));
  const rules = [...refusedIssues(draft), ...adviceIssues(draft)];
  const warnings = [...advice, ...rules.map((issue) => placed("warning", issue, places))];

  const isSound = errors.length === 0 && pipeline !== undefined && loggingMap !== undefined;
  return {
    project: isSound
      ? { schemaVersion: version, pipeline, stages, logLevel: buildLogLevel(loggingMap) }
      : undefined,
    problems: [...errors.sort((a, b) => compareTexts(a.message, b.message)), ...sortedByPlace(warnings)],
  };
}

function placed(severity: Problem["severity"], issue: Issue, places: Places): Problem {
  const path = issue.at.join(".");
  return problem(
    severity,
    issue.code,
    path,
    `${issue.subject ?? path} -> ${issue.text}`,
    places.of(issue.at),
  );
}
