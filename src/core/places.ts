import { entriesByName } from "./check-value.ts";
import type { Place } from "./yaml/problem.ts";
import type { YamlEntry, YamlMap, YamlValue } from "./yaml/values.ts";

export const startOfFile: Place = { line: 1, column: 1 };

/** Where things stand in the file. */
export class Places {
  readonly #root: YamlMap;
  readonly #entries = new Map<YamlMap, ReadonlyMap<string, YamlEntry>>();

  constructor(root: YamlMap) {
    this.#root = root;
  }

  /** The place of a stage's name, of any other key's value, of a list's item; of the last that is there on the way. */
  of(at: readonly string[]): Place {
    let place: Place = startOfFile;
    let value: YamlValue = this.#root;
    for (const [depth, step] of at.entries()) {
      if (value.kind === "list") {
        const item: YamlValue | undefined = value.items[Number(step)];
        if (item === undefined) return place;
        place = value = item;
        continue;
      }
      const entry: YamlEntry | undefined = value.kind === "map" ? this.#named(value).get(step) : undefined;
      if (entry === undefined) return place;
      place =
        depth === at.length - 1 && entry.value.kind !== "map" && entry.value.kind !== "list"
          ? entry.value
          : entry.key;
      value = entry.value;
    }
    return place;
  }

  #named(map: YamlMap): ReadonlyMap<string, YamlEntry> {
    const known = this.#entries.get(map) ?? entriesByName(map);
    this.#entries.set(map, known);
    return known;
  }
}
