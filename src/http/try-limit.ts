/** So many tries are let pass in a time; those beyond are not. */
export interface TryLimit {
  take(key: string): boolean;
}

interface Window {
  readonly endsAt: number;
  left: number;
}

/** Keys that are remembered; those beyond share one window. */
const mostKeys = 10_000;

/** `now` in milliseconds. Tries that come at the same moment are counted one after the other. */
export function createTryLimit(options: {
  readonly most: number;
  readonly milliseconds: number;
  readonly now: () => number;
}): TryLimit {
  const windows = new Map<string, Window>();
  const windowOf = (key: string): Window => {
    const found = windows.get(key);
    if (found !== undefined && found.endsAt > options.now()) return found;
    if (windows.size >= mostKeys && !windows.has(key)) forgetEnded();
    if (windows.size >= mostKeys && !windows.has(key) && key !== rest) return windowOf(rest);
    const fresh = { endsAt: options.now() + options.milliseconds, left: options.most };
    windows.set(key, fresh);
    return fresh;
  };
  const forgetEnded = (): void => {
    for (const [key, { endsAt }] of windows) {
      if (endsAt <= options.now()) windows.delete(key);
    }
  };
  return {
    take(key) {
      const window = windowOf(key);
      if (window.left === 0) return false;
      window.left--;
      return true;
    },
  };
}

const rest = "all others";
