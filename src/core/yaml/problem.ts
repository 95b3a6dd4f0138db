/** Why a text is not a YAML 1.1 document we take, thrown inside this folder only and caught by `readYaml`. */
export class YamlRefusal extends Error {
  override readonly name = "YamlRefusal";
  readonly code: "yaml-syntax" | "yaml-limit";
  readonly place: Place;

  constructor(code: "yaml-syntax" | "yaml-limit", message: string, place: Place) {
    super(message);
    this.code = code;
    this.place = place;
  }
}

/** Line and column, both from 1; columns count UTF-16 units, as editors do. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** What a project file may hold; far above any real one, and low enough that no file takes a second. */
export const yamlLimits = {
  bytes: 1024 * 1024,
  keysPerMapping: 4096,
  nesting: 32,
  /** Keys, items and values, with every alias written out. */
  values: 100_000,
} as const;
