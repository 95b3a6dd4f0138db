/** One figure of a benchmark. */
export interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: "ratio" | "ms" | "MB" | "%";
  /** What it should be, such as `≤ 1.2`; the row falls short when the value is on the other side. */
  readonly goal?: `≤ ${number}` | `≥ ${number}`;
  /** What the floor was, or why something is not measured. */
  readonly note?: string;
}

/** True when the goal is met, or there is none. */
export function meetsGoal({ goal, value }: BenchRow): boolean {
  if (goal === undefined) return true;
  const [sign, bound] = goal.split(" ");
  return sign === "≤" ? value <= Number(bound) : value >= Number(bound);
}
