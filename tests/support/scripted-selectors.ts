import type { KubernetesObject } from "../../src/engines/kubernetes/client/cluster.ts";
import { at } from "../../src/engines/kubernetes/client/objects.ts";

/** As in a query; "" selects all. */
export interface Selectors {
  readonly labels: string;
  readonly fields: string;
}

export function isSelected(object: KubernetesObject, { labels, fields }: Selectors): boolean {
  const given = object.metadata.labels ?? {};
  return (
    partsOf(labels).every((part) => hasLabel(given, part)) &&
    partsOf(fields).every((part) => hasField(object, part))
  );
}

/** At commas, but not at those of `name in (a,b)`. */
function partsOf(selector: string): readonly string[] {
  return selector
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function hasLabel(given: Readonly<Record<string, string>>, part: string): boolean {
  const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(part);
  if (set !== null) {
    const [, name = "", operator, list = ""] = set;
    const isIn = list.split(",").some((value) => value.trim() === given[name]);
    return isIn === (operator === "in");
  }
  const pair = /^([^!=]+)(!=|==?)(.*)$/.exec(part);
  if (pair !== null) {
    const [, name = "", operator, value] = pair;
    return (given[name] === value) === (operator !== "!=");
  }
  return part.startsWith("!") ? !(part.slice(1) in given) : part in given;
}

function hasField(object: KubernetesObject, part: string): boolean {
  const [, path = "", operator, value = ""] = /^([^!=]+)(!=|==?)(.*)$/.exec(part) ?? [];
  const found = at(object, ...path.split("."));
  return (String(found ?? "") === value) === (operator !== "!=");
}
