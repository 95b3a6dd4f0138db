/** True in `npm run soak`, where tests that draw by chance draw many times more. */
export const soaking = process.env.BODYWORK_SOAK !== undefined;

/** How often to try: a seeded sample in the suite, all of it in a soak. */
export function times(sample: number, full: number): number {
  return soaking ? full : sample;
}

/** Where chance starts: the same each time in the suite; a soak says its seed, and takes one. */
export const seed = Number(process.env.BODYWORK_SOAK || 20261123);
