/**
 * Milliseconds before the next start after the n-th crash in a row: 1 s doubled each time, 60 s at most, with a tenth
 * of chance so that replicas do not start together. While it was never ready the first waits are short: the run is
 * waiting for it.
 */
export function restartDelay(crashes: number, everReady: boolean, random: () => number): number {
  const base = everReady ? 1_000 : 250;
  return Math.min(60_000, base * 2 ** (crashes - 1)) * (0.9 + 0.2 * random());
}
