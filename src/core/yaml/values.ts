/**
 * Nodes → values, as PyYAML's safe loader builds them: types are kept apart (`1` and `1.0` and `"1"` and `true` differ),
 * a repeated key's last value wins, `<<` merges.
 */

import type { MappingNode, SequenceNode, YamlNode } from "./nodes.ts";
import { type Place, YamlRefusal, yamlLimits } from "./problem.ts";
import { readBool, readFloat, readInt, readTimestamp, tagPrefix } from "./scalars.ts";

/** A value and where it stands. */
export type YamlValue = YamlScalar | YamlList | YamlMap | YamlSet;

export type YamlScalar = Place &
  (
    | { readonly kind: "null" }
    | { readonly kind: "bool"; readonly value: boolean }
    | { readonly kind: "int"; readonly value: number }
    | { readonly kind: "float"; readonly value: number }
    | { readonly kind: "string"; readonly value: string }
    | { readonly kind: "date"; readonly value: string }
    | { readonly kind: "binary"; readonly value: string }
  );

export interface YamlList extends Place {
  readonly kind: "list";
  readonly items: readonly YamlValue[];
}

export interface YamlMap extends Place {
  readonly kind: "map";
  /** In the order in which each key first appears. */
  readonly entries: readonly YamlEntry[];
}

export interface YamlSet extends Place {
  readonly kind: "set";
}

export interface YamlEntry {
  readonly key: YamlScalar;
  readonly value: YamlValue;
}

export interface RepeatedKey extends Place {
  readonly key: YamlScalar;
  readonly first: Place;
}

/** Builds the whole document, also what nobody reads: a wrong value anywhere makes it unreadable. Throws YamlRefusal. */
export function buildValues(root: YamlNode): { value: YamlValue; repeated: readonly RepeatedKey[] } {
  const builder = new Builder();
  return { value: builder.value(root), repeated: builder.repeated };
}

class Builder {
  readonly repeated: RepeatedKey[] = [];
  readonly #built = new Map<YamlNode, YamlValue>();
  readonly #merged = new Map<MappingNode, Pairs>();
  readonly #merging = new Set<MappingNode>();

  value(node: YamlNode): YamlValue {
    const known = this.#built.get(node);
    if (known !== undefined) return known;
    const type = node.tag.startsWith(tagPrefix) ? node.tag.slice(tagPrefix.length) : undefined;
    if (node.kind === "mapping" && type === "map") return this.#map(node);
    if (node.kind === "mapping" && type === "set") return this.#set(node);
    if (node.kind === "sequence" && type === "seq") return this.#list(node);
    if (node.kind === "sequence" && (type === "omap" || type === "pairs")) return this.#pairs(node);
    const scalar = node.kind === "scalar" ? readScalar(type, node.value, node) : undefined;
    if (scalar === undefined) throw refuseTag(node, type);
    this.#built.set(node, scalar);
    return scalar;
  }

  #list(node: SequenceNode): YamlList {
    const items: YamlValue[] = [];
    const list: YamlList = { kind: "list", items, line: node.line, column: node.column };
    this.#built.set(node, list);
    for (const item of node.items) items.push(this.value(item));
    return list;
  }

  /** Lists of one-pair mappings: to a project file they are lists of things that are no text. */
  #pairs(node: SequenceNode): YamlList {
    const items: YamlValue[] = [];
    const list: YamlList = { kind: "list", items, line: node.line, column: node.column };
    this.#built.set(node, list);
    for (const item of node.items) {
      const pair = item.kind === "mapping" && item.pairs.length === 1 ? item.pairs[0] : undefined;
      if (pair === undefined) throw refuse("each item of this list must be a mapping with one key", item);
      this.value(pair[0]);
      this.value(pair[1]);
      items.push({ kind: "list", items: [], line: item.line, column: item.column });
    }
    return list;
  }

  #set(node: MappingNode): YamlSet {
    const set: YamlSet = { kind: "set", line: node.line, column: node.column };
    this.#built.set(node, set);
    for (const [key, value] of this.#pairsOf(node)) {
      this.#key(key);
      this.value(value);
    }
    return set;
  }

  #map(node: MappingNode): YamlMap {
    const entries: YamlEntry[] = [];
    const map: YamlMap = { kind: "map", entries, line: node.line, column: node.column };
    this.#built.set(node, map);
    const own = new Set(node.pairs.map(([key]) => key));
    const places = new Map<string, { at: number; own: boolean }>();
    for (const [keyNode, valueNode] of this.#pairsOf(node)) {
      const key = this.#key(keyNode);
      const value = this.value(valueNode);
      const identity = keyIdentity(key);
      const earlier = places.get(identity);
      const first = earlier === undefined ? undefined : entries[earlier.at];
      if (earlier === undefined || first === undefined) {
        places.set(identity, { at: entries.length, own: own.has(keyNode) });
        entries.push({ key, value });
        continue;
      }
      if (earlier.own && own.has(keyNode)) {
        this.repeated.push({ key, first: first.key, line: key.line, column: key.column });
      }
      earlier.own ||= own.has(keyNode);
      entries[earlier.at] = { key, value };
    }
    return map;
  }

  #key(node: YamlNode): YamlScalar {
    // `=` is a type of its own as a value, and a plain text as a key.
    if (node.kind === "scalar" && node.tag === `${tagPrefix}value`) {
      return { kind: "string", value: node.value, line: node.line, column: node.column };
    }
    const key = this.value(node);
    if (key.kind === "list" || key.kind === "map" || key.kind === "set") {
      throw refuse("a list or mapping cannot be a key", node);
    }
    return key;
  }

  /** The pairs of a mapping with those of its `<<` before its own, so that its own win. */
  #pairsOf(node: MappingNode): Pairs {
    if (!node.pairs.some(([key]) => isMerge(key))) return node.pairs;
    const known = this.#merged.get(node);
    if (known !== undefined) return known;
    if (this.#merging.has(node)) throw refuseLimit("a mapping merges itself by <<", node);
    this.#merging.add(node);
    const merged: (readonly [YamlNode, YamlNode])[] = [];
    for (const [key, value] of node.pairs) {
      if (isMerge(key)) this.#merge(value, merged);
    }
    merged.push(...node.pairs.filter(([key]) => !isMerge(key)));
    this.#merging.delete(node);
    this.#merged.set(node, merged);
    return merged;
  }

  #merge(value: YamlNode, merged: (readonly [YamlNode, YamlNode])[]): void {
    const sources = value.kind === "sequence" ? value.items.toReversed() : [value];
    for (const source of sources) {
      if (source.kind !== "mapping") throw refuse("<< takes a mapping or a list of mappings", source);
      const pairs = this.#pairsOf(source);
      if (merged.length + pairs.length > yamlLimits.keysPerMapping) {
        throw refuseLimit(`<< gives a mapping more than ${yamlLimits.keysPerMapping} keys`, value);
      }
      merged.push(...pairs);
    }
  }
}

type Pairs = readonly (readonly [key: YamlNode, value: YamlNode])[];

function isMerge(key: YamlNode): boolean {
  return key.kind === "scalar" && key.tag === `${tagPrefix}merge`;
}

function readScalar(type: string | undefined, text: string, place: Place): YamlScalar | undefined {
  const at = { line: place.line, column: place.column };
  switch (type) {
    case "null":
      return { kind: "null", ...at };
    case "str":
      return { kind: "string", value: text, ...at };
    case "bool":
      return withValue("bool", readBool(text), at);
    case "int":
      return withValue("int", readInt(text), at);
    case "float":
      return withValue("float", readFloat(text), at);
    case "timestamp":
      return withValue("date", readTimestamp(text), at);
    case "binary":
      return withValue("binary", readBase64(text), at);
    default:
      return undefined;
  }
}

function withValue<Kind extends string, Value>(
  kind: Kind,
  value: Value | undefined,
  place: Place,
): (Place & { kind: Kind; value: Value }) | undefined {
  return value === undefined ? undefined : { kind, value, ...place };
}

function readBase64(text: string): string | undefined {
  const digits = text.replaceAll(/[^A-Za-z0-9+/]/g, "");
  const isAscii = [...text].every((ch) => ch <= "\x7f");
  const padded = /={0,2}\s*$/.exec(text)?.[0].trim().length ?? 0;
  return isAscii && (digits.length + padded) % 4 === 0 ? digits : undefined;
}

/** Equal keys have equal identities; as in Python, `1`, `1.0` and `true` are one key and `"1"` another. */
function keyIdentity(key: YamlScalar): string {
  switch (key.kind) {
    case "null":
      return "null";
    case "bool":
    case "int":
    case "float":
      return `number ${Number(key.value)}`;
    default:
      return `${key.kind} ${key.value}`;
  }
}

function refuseTag(node: YamlNode, type: string | undefined): YamlRefusal {
  if (node.kind === "scalar" && type === "merge") return refuse("<< can only be a key", node);
  if (node.kind === "scalar" && type === "value") return refuse("put = in quotes", node);
  const known =
    type !== undefined &&
    [
      "null",
      "str",
      "bool",
      "int",
      "float",
      "timestamp",
      "binary",
      "map",
      "seq",
      "set",
      "omap",
      "pairs",
    ].includes(type);
  if (!known) return refuse(`the tag ${node.tag} is not known`, node);
  const article = type === "int" || type === "omap" ? "an" : "a";
  const found = node.kind === "scalar" ? JSON.stringify(node.value.slice(0, 40)) : `a ${node.kind}`;
  return refuse(`${found} is not ${article} ${type}`, node);
}

function refuse(message: string, place: Place): YamlRefusal {
  return new YamlRefusal("yaml-syntax", message, place);
}

function refuseLimit(message: string, place: Place): YamlRefusal {
  return new YamlRefusal("yaml-limit", message, place);
}
