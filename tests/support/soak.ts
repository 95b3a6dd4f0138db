import type { TaskMeta } from "vitest";

declare module "vitest" {
  interface TaskMeta {
    /** What a test has counted, in a few words; docs/soak.md shows it. */
    counted?: string;
    /** The steps of a deploy, in order; `npm run crash-points` prints them. */
    steps?: readonly string[];
  }
}

/** True in `npm run soak`, where tests that draw by chance draw many times more. */
export const soaking = process.env.BODYWORK_SOAK !== undefined;

/** How often to try: a seeded sample in the suite, all of it in a soak. */
export function times(sample: number, full: number): number {
  return soaking ? full : sample;
}

/** Where chance starts: the same each time in the suite; a soak says its seed, and takes one. */
export const seed = Number(process.env.BODYWORK_SOAK || 20261123);

/** Prints what a test has counted, and hands it to the report of the soak. */
export function tellCount({ task }: { readonly task: { readonly meta: TaskMeta } }, text: string): void {
  task.meta.counted = text;
  process.stdout.write(`${text}\n`);
}

/** `0 of 1234 (below 0.25 % with 95 % confidence)`: by the rule of three when nothing failed. */
export function shareOf(failed: number, all: number): string {
  const bound =
    failed === 0 && all > 0
      ? ` (below ${Number(((3 / all) * 100).toPrecision(2))} % with 95 % confidence)`
      : "";
  return `${failed} of ${all}${bound}`;
}
