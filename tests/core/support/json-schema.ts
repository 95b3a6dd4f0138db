import type { JsonSchema } from "../../../src/core/json-schema.ts";

/**
 * Whether a JSON Schema accepts a value: the keywords that our schema uses, and no other (an unknown one throws). A
 * keyword that is about another type than the value's says nothing, as the standard has it.
 */
export function accepts(schema: JsonSchema, value: unknown): boolean {
  return Object.entries(schema).every(([keyword, argument]) => {
    const check = keywords[keyword];
    if (check === undefined)
      throw new Error(`The schema uses ${keyword}, which this evaluator does not know`);
    return check(argument as never, value, schema);
  });
}

type Check = (argument: never, value: unknown, schema: JsonSchema) => boolean;

const keywords: Readonly<Record<string, Check>> = {
  $schema: () => true,
  title: () => true,
  description: () => true,
  type: (types: string | readonly string[], value) => [types].flat().some((type) => isOfType(type, value)),
  enum: (values: readonly unknown[], value) => values.includes(value),
  const: (wanted: unknown, value) => value === wanted,
  minimum: (minimum: number, value) => typeof value !== "number" || value >= minimum,
  exclusiveMinimum: (minimum: number, value) => typeof value !== "number" || value > minimum,
  pattern: (pattern: string, value) => typeof value !== "string" || new RegExp(pattern, "u").test(value),
  items: (schema: JsonSchema, value) => !Array.isArray(value) || value.every((item) => accepts(schema, item)),
  required: (keys: readonly string[], value) =>
    !isObject(value) || keys.every((key) => Object.hasOwn(value, key)),
  maxProperties: (most: number, value) => !isObject(value) || Object.keys(value).length <= most,
  properties: (schemas: Readonly<Record<string, JsonSchema>>, value) =>
    !isObject(value) ||
    Object.entries(schemas).every(
      ([key, schema]) => !Object.hasOwn(value, key) || accepts(schema, value[key]),
    ),
  additionalProperties: (schema: JsonSchema, value, { properties = {} }) =>
    !isObject(value) ||
    Object.keys(value).every(
      (key) => Object.hasOwn(properties as object, key) || accepts(schema, value[key]),
    ),
  propertyNames: (schema: JsonSchema, value) =>
    !isObject(value) || Object.keys(value).every((key) => accepts(schema, key)),
  oneOf: (schemas: readonly JsonSchema[], value) =>
    schemas.filter((schema) => accepts(schema, value)).length === 1,
  anyOf: (schemas: readonly JsonSchema[], value) => schemas.some((schema) => accepts(schema, value)),
};

function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case "object":
      return isObject(value);
    case "array":
      return Array.isArray(value);
    case "integer":
      return Number.isInteger(value);
    case "number":
      return typeof value === "number" && Number.isFinite(value);
    default:
      return typeof value === type;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
