/** One thing of Bodywork 3 that scripts and tests may depend on, and what became of it. */
export interface CompatibilityRow {
  /** As the original has it, in Markdown. */
  readonly what: string;
  readonly verdict: Verdict;
  /** What it is here; undefined when it is the same. */
  readonly note?: string;
  /** None for what only the Kubernetes engine can show. */
  readonly shownBy: readonly TestReference[];
}

/**
 * `kept`: the same on every engine. `own words`: it speaks of Kubernetes, and this machine's engine says or does it in its own
 * way. `Kubernetes`: means nothing without a cluster; the Kubernetes engine's. `changed`: on purpose.
 */
export type Verdict = "kept" | "own words" | "Kubernetes" | "changed";

export interface TestReference {
  /** From the project's root. */
  readonly file: string;
  readonly title: string;
}

export interface CompatibilitySection {
  readonly title: string;
  readonly rows: readonly CompatibilityRow[];
}

/** References to tests of one file. */
export function testsOf(file: string): (...titles: readonly string[]) => readonly TestReference[] {
  return (...titles) => titles.map((title) => ({ file, title }));
}

export function kept(what: string, shownBy: readonly TestReference[], note?: string): CompatibilityRow {
  return { what, verdict: "kept", shownBy, ...(note === undefined ? {} : { note }) };
}

export function ownWords(what: string, note: string, shownBy: readonly TestReference[]): CompatibilityRow {
  return { what, verdict: "own words", note, shownBy };
}

export function changed(what: string, note: string, shownBy: readonly TestReference[]): CompatibilityRow {
  return { what, verdict: "changed", note, shownBy };
}

export function kubernetes(
  what: string,
  note?: string,
  shownBy: readonly TestReference[] = [],
): CompatibilityRow {
  return { what, verdict: "Kubernetes", shownBy, ...(note === undefined ? {} : { note }) };
}
