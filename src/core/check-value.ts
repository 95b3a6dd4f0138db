/** Values of a project file against their description, in the vocabulary of the original's messages. */

import type { Keys, Pattern, ValueSpec } from "./project-schema.ts";
import type { Place } from "./yaml/problem.ts";
import type { YamlEntry, YamlMap, YamlScalar, YamlValue } from "./yaml/values.ts";

/** What is wrong with one key: `code` is stable, `reason` the text after the arrow. */
export interface Finding {
  readonly code: string;
  readonly key: string;
  readonly reason: string;
  readonly place: Place;
}

/** Checks the known keys of a map; others are ignored. A missing key has the place of its map, `place`. */
export function checkKeys(map: YamlMap, keys: Keys, place: Place): readonly Finding[] {
  const entries = entriesByName(map);
  return Object.entries(keys).flatMap(([key, { value, required }]): Finding[] => {
    const entry = entries.get(key);
    if (entry !== undefined) {
      if (value.kind === "section" && entry.value.kind === "map") {
        const inner = checkKeys(entry.value, value.keys, entry.key);
        return inner.map((finding) => ({ ...finding, key: `${key}.${finding.key}` }));
      }
      const fault = faultOf(entry.value, value);
      return fault === undefined ? [] : [{ ...fault, key }];
    }
    return required === true ? [{ code: "required-field", key, reason: "required field", place }] : [];
  });
}

/** The entries whose keys are texts. */
export function entriesByName(map: YamlMap): ReadonlyMap<string, YamlEntry> {
  return new Map(
    map.entries.flatMap((entry) => (entry.key.kind === "string" ? [[entry.key.value, entry] as const] : [])),
  );
}

export interface Fault {
  readonly code: string;
  readonly reason: string;
  readonly place: Place;
}

/** Why a value is not what it must be; undefined when it is. */
export function faultOf(value: YamlValue, spec: ValueSpec): Fault | undefined {
  const place = { line: value.line, column: value.column };
  if (spec.kind === "any") return unsayableFault(value, place);
  if (value.kind === "null") return { code: "null-value", reason: "null value not allowed", place };
  const type = spec.kind === "section" ? "dict" : spec.kind;
  const wrongType = { code: "wrong-type", reason: `must be of ${type} type`, place };
  switch (spec.kind) {
    case "string":
      if (value.kind !== "string") return wrongType;
      return textFault(value.value, spec, place);
    case "integer":
      if (value.kind !== "int" && value.kind !== "bool") return wrongType;
      return minimumFault(Number(value.value), spec.min, String(spec.min), place);
    case "float":
      if (value.kind !== "int" && value.kind !== "float" && value.kind !== "bool") return wrongType;
      if (spec.above === true && Number(value.value) === spec.min) {
        return { code: "below-minimum", reason: `must be more than ${spec.min}`, place };
      }
      return minimumFault(Number(value.value), spec.min, spec.min.toFixed(1), place);
    case "boolean":
      return value.kind === "bool" ? undefined : wrongType;
    case "list":
      return value.kind === "list" ? listFault(value.items, spec.items) : wrongType;
    case "dict":
      return value.kind === "map" ? mapFault(value, spec) : wrongType;
    case "string or dict":
      if (value.kind === "string") return faultOf(value, spec.text);
      if (value.kind !== "map") return wrongType;
      return keysFault(value, spec.keys, place);
    case "section":
      return value.kind === "map" ? keysFault(value, spec.keys, place) : wrongType;
  }
}

/** What YAML has and JSON has not: dates, bytes, sets, numbers without end, keys that are no texts. */
function unsayableFault(value: YamlValue, place: Place): Fault | undefined {
  const code = "wrong-type";
  switch (value.kind) {
    case "date":
      return { code, reason: "must not be of date type; put it in quotes", place };
    case "binary":
    case "set":
      return { code, reason: `must not be of ${value.kind} type`, place };
    case "float":
      return Number.isFinite(value.value) ? undefined : { code, reason: "must be a finite number", place };
    case "list":
      return listFault(value.items, { kind: "any" });
    case "map":
      return mapFault(value, { kind: "dict", values: { kind: "any" } });
    default:
      return undefined;
  }
}

function textFault(
  text: string,
  spec: Extract<ValueSpec, { kind: "string" }>,
  place: Place,
): Fault | undefined {
  if (spec.allowed !== undefined && !spec.allowed.includes(text)) {
    return { code: "unallowed-value", reason: `unallowed value ${text}`, place };
  }
  return spec.pattern === undefined ? undefined : patternFault(text, spec.pattern, place);
}

function patternFault(text: string, pattern: Pattern, place: Place): Fault | undefined {
  if (pattern.form.test(text)) return undefined;
  return { code: "pattern-mismatch", reason: `value does not match regex '${pattern.shown}'`, place };
}

/** Not a number is below nothing, as in Python. */
function minimumFault(value: number, min: number, shown: string, place: Place): Fault | undefined {
  return value < min ? { code: "below-minimum", reason: `min value is ${shown}`, place } : undefined;
}

interface ItemFault extends Fault {
  readonly item: string | number;
}

function listFault(items: readonly YamlValue[], spec: ValueSpec): Fault | undefined {
  return combined(
    items.flatMap((item, index): ItemFault[] => {
      const fault = faultOf(item, spec);
      return fault === undefined ? [] : [{ ...fault, item: index }];
    }),
  );
}

function mapFault(map: YamlMap, spec: Extract<ValueSpec, { kind: "dict" }>): Fault | undefined {
  return combined(
    map.entries.flatMap(({ key, value }): ItemFault[] => {
      const keyFault = faultOf(key, { kind: "string", ...(spec.keyPattern && { pattern: spec.keyPattern }) });
      const valueFault = faultOf(value, spec.values);
      const item = key.kind === "int" ? key.value : keyText(key);
      return [keyFault, valueFault].flatMap((fault) => (fault === undefined ? [] : [{ ...fault, item }]));
    }),
  );
}

function keysFault(map: YamlMap, keys: Keys, place: Place): Fault | undefined {
  const [first] = checkKeys(map, keys, place);
  return first && { code: first.code, reason: `${first.key}: ${first.reason}`, place: first.place };
}

/** `[{"0": ["must be of string type"]}]`: numbers first and in order, then names; as Python writes JSON. */
function combined(faults: readonly ItemFault[]): Fault | undefined {
  const [first] = faults;
  if (first === undefined) return undefined;
  const reasons = new Map<string | number, string[]>();
  for (const { item, reason } of faults) {
    const known = reasons.get(item);
    if (known === undefined) reasons.set(item, [reason]);
    else known.push(reason);
  }
  const members = [...reasons]
    .sort(([a], [b]) => compareItems(a, b))
    .map(([item, list]) => `${pythonJson(String(item))}: [${list.map(pythonJson).join(", ")}]`);
  return { code: first.code, reason: `[{${members.join(", ")}}]`, place: first.place };
}

function compareItems(a: string | number, b: string | number): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number") return -1;
  if (typeof b === "number") return 1;
  return compareTexts(a, b);
}

/** By code points, as Python sorts; JavaScript's own order is by UTF-16 units. */
export function compareTexts(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const difference = codePointRank(a.charCodeAt(index)) - codePointRank(b.charCodeAt(index));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all other units. */
function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

function pythonJson(text: string): string {
  return JSON.stringify(text).replace(
    /[\x7f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function keyText(key: YamlScalar): string {
  return key.kind === "null" ? "null" : String(key.value);
}

/** A key as Python shows it in a message. */
export function shownKey(key: YamlScalar): string {
  if (key.kind === "null") return "None";
  if (key.kind === "bool") return key.value ? "True" : "False";
  return String(key.value);
}
