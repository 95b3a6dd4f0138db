/** Whether the server can do its work, looked at seldom however often it is asked: looking writes to the disk. */

export interface ReadinessParts {
  /** Writes something to the store. */
  readonly probeStore: () => void;
  /** Why the ingress is not as it should be; undefined when it is. */
  readonly ingressNote: () => string | undefined;
  /** Milliseconds, from any start. */
  readonly now: () => number;
}

const keptFor = 5_000;

/** Why the server is not ready, one line each; none when it is. */
export function createReadiness({ probeStore, ingressNote, now }: ReadinessParts): () => readonly string[] {
  let looked: { readonly at: number; readonly reasons: readonly string[] } | undefined;
  const look = (): readonly string[] => {
    const note = ingressNote();
    const reasons = note === undefined ? [] : [note];
    try {
      probeStore();
      return reasons;
    } catch (error) {
      return [...reasons, `The store takes no writes: ${error instanceof Error ? error.message : error}`];
    }
  };
  return () => {
    if (looked === undefined || now() - looked.at > keptFor) looked = { at: now(), reasons: look() };
    return looked.reasons;
  };
}
