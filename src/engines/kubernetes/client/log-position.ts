export interface StampedLine {
  /** Milliseconds since 1970; undefined for a line of kubelet's own, which has no time. */
  readonly time: number | undefined;
  readonly text: string;
  /** The line with its time as it came. */
  readonly whole: string;
}

/** Which lines of a log have been read already. */
export interface LogPosition {
  /** Of the latest line. */
  readonly time: number | undefined;
  /** Where reading goes on, as `sinceTime`; undefined at the start. Lines that come from there again are known. */
  resume(): string | undefined;
  isNew(line: StampedLine): boolean;
}

/**
 * Kubelet knows `sinceTime` in whole seconds, and lines of standard output and error may come a little out of order: so
 * the last seconds are asked for again, and each line that was read in them counts once.
 */
const overlap = 2_000;

/** `2026-11-25T12:00:00.123456789Z text`. */
export function stampedLine(whole: string): StampedLine {
  const stamp = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?/.exec(whole);
  const time = stamp === null ? Number.NaN : Date.parse(stamp[1] ?? "");
  if (stamp === null || Number.isNaN(time)) return { time: undefined, text: whole, whole };
  return { time, text: whole.slice(stamp[0].length), whole };
}

export function createLogPosition(): LogPosition {
  let latest: number | undefined;
  /** Of the last seconds, and some before them. */
  let recent: StampedLine[] = [];
  let mostRecent = 1_000;
  /** How often a line is to come again before it is new. */
  let known = new Map<string, number>();
  /** Nothing known has come again yet: what comes is older than what was asked for at first (`tail`). */
  let isBefore = false;
  const start = (): number => Math.floor(((latest ?? 0) - overlap) / 1000) * 1000;
  const prune = (): void => {
    recent = recent.filter(({ time = 0 }) => time >= start());
  };
  return {
    get time() {
      return latest;
    },
    resume() {
      known = new Map();
      if (latest === undefined) return undefined;
      prune();
      for (const { whole } of recent) known.set(whole, (known.get(whole) ?? 0) + 1);
      isBefore = true;
      return new Date(start()).toISOString().replace(".000Z", "Z");
    },
    isNew(line) {
      const { time, whole } = line;
      const left = known.get(whole) ?? 0;
      if (left > 0) {
        known.set(whole, left - 1);
        isBefore = false;
        return false;
      }
      if (time === undefined) return true;
      if (isBefore && latest !== undefined && time <= latest) return false;
      latest = Math.max(latest ?? 0, time);
      recent.push(line);
      if (recent.length >= mostRecent) {
        prune();
        mostRecent = Math.max(1_000, recent.length * 2);
      }
      return true;
    },
  };
}
