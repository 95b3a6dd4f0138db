import {
  type KeySpec,
  type Keys,
  kindKeys,
  loggingKeys,
  pipelineKeys,
  type SchemaVersion,
  schemaVersions,
  stageKeys,
  topLevelSummaries,
  type ValueSpec,
} from "./project-schema.ts";

/** A JSON Schema, as data. */
export type JsonSchema = { readonly [keyword: string]: unknown };

/**
 * The description of project files as a JSON Schema (draft 2020-12), for editors. It says what a schema can: it knows
 * neither how stages refer to each other nor the numbers that JSON has not (`.inf`), and it takes 1.0 for a whole number.
 */
export function projectJsonSchema(): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "bodywork.yaml",
    description: "A Bodywork project: pipelines of Python stages.",
    type: "object",
    properties: {
      version: { description: topLevelSummaries.version, enum: ["1.1", "1.0"] },
      pipeline: { description: topLevelSummaries.pipeline, ...keysSchema(pipelineKeys) },
      project: { description: topLevelSummaries.pipeline, ...keysSchema(pipelineKeys) },
      stages: {
        description: topLevelSummaries.stages,
        type: "object",
        additionalProperties: stageSchema(),
      },
      logging: { description: topLevelSummaries.logging, ...keysSchema(loggingKeys) },
    },
    required: ["version", "stages", "logging"],
    oneOf: [versionSchema("1.1"), versionSchema("1.0")],
  };
}

/** Which section a version has, and which modules it takes. */
function versionSchema(version: SchemaVersion): JsonSchema {
  const { section, modulePath } = schemaVersions[version];
  const stage = {
    type: "object",
    properties: { executable_module_path: { pattern: modulePath.form.source } },
  };
  return {
    type: "object",
    properties: {
      version: { const: version },
      stages: { type: "object", additionalProperties: stage },
    },
    required: ["version", section],
  };
}

function stageSchema(): JsonSchema {
  const { properties, required } = keysSchema(stageKeys("1.1"));
  return {
    type: "object",
    properties: {
      ...properties,
      batch: { description: "The stage runs to its end.", ...keysSchema(kindKeys.batch) },
      service: { description: "The stage keeps answering requests.", ...keysSchema(kindKeys.service) },
    },
    required,
    oneOf: [
      { type: "object", required: ["batch"] },
      // A service makes no outputs.
      {
        type: "object",
        required: ["service"],
        properties: { outputs: { type: "object", maxProperties: 0 } },
      },
    ],
  };
}

function keysSchema(keys: Keys): {
  readonly type: "object";
  readonly properties: Readonly<Record<string, JsonSchema>>;
  readonly required: readonly string[];
} {
  const entries = Object.entries(keys);
  return {
    type: "object",
    properties: Object.fromEntries(entries.map(([key, spec]) => [key, keySchema(spec)])),
    required: entries.filter(([, { required }]) => required === true).map(([key]) => key),
  };
}

function keySchema({ summary, value, default: preset }: KeySpec): JsonSchema {
  const description = preset === undefined ? summary : `${summary} Default: ${preset}.`;
  return { description, ...valueSchema(value) };
}

function valueSchema(spec: ValueSpec): JsonSchema {
  switch (spec.kind) {
    case "string":
      return {
        type: "string",
        ...(spec.pattern && { pattern: spec.pattern.form.source }),
        ...(spec.allowed && { enum: spec.allowed }),
      };
    case "integer":
      return { type: ["integer", "boolean"], minimum: spec.min };
    case "float":
      return {
        type: ["number", "boolean"],
        ...(spec.above === true ? { exclusiveMinimum: spec.min } : { minimum: spec.min }),
      };
    case "boolean":
      return { type: "boolean" };
    case "list":
      return { type: "array", items: valueSchema(spec.items) };
    case "dict":
      return {
        type: "object",
        ...(spec.keyPattern && { propertyNames: { pattern: spec.keyPattern.form.source } }),
        additionalProperties: valueSchema(spec.values),
      };
    case "string or dict":
      return { anyOf: [valueSchema(spec.text), keysSchema(spec.keys)] };
    case "section":
      return keysSchema(spec.keys);
    case "any":
      return {};
  }
}
