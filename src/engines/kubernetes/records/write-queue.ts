import { setImmediate } from "node:timers/promises";

import type { Clock } from "../../../ports/clock.ts";

export interface Write {
  /** What it changes. */
  readonly name: string;
  /**
   * `put run`: writes of one sort that follow each other may be done at once; all else is done one after the
   * other.
   */
  readonly sort: string;
  /** Reads what it writes when it begins. Rejects when it can't be done. */
  readonly carryOut: () => Promise<void>;
}

/**
 * Writes in the order in which they were asked for. A write takes the place of the last waiting one of its
 * name when that is of its sort and no border is between the two. One that can't be done stops all behind it,
 * so that nothing is there of which the reason is missing; it is tried again when somebody waits, and with
 * what is asked for ten seconds later.
 */
export interface WriteQueue {
  add(write: Write): void;
  /** What comes next is not done before, nor in place of, what was there by now. */
  border(): void;
  /** Whether it waits, or is being done. */
  has(name: string): boolean;
  /** All that was asked for up to now is done. Rejects as the write that can't be done. */
  settled(): Promise<void>;
  /** Begins no more. */
  close(): void;
}

interface Waiter {
  readonly left: Set<Entry>;
  readonly done: () => void;
  readonly fail: (error: unknown) => void;
}

interface Entry {
  write: Write;
  readonly section: number;
}

/** Requests at one time. */
const mostAtOnce = 16;
/** Milliseconds until a write that could not be done is tried again though nobody waits for it. */
const retryAfter = 10_000;

export function createWriteQueue(clock: Pick<Clock, "monotonic">): WriteQueue {
  let waiting: Entry[] = [];
  let doing: readonly Entry[] = [];
  let waiters: Waiter[] = [];
  let section = 0;
  let isGoing = false;
  let isStopped = false;
  let stoppedAt = 0;
  let isClosed = false;

  return {
    add(write) {
      const former = waiting.findLast(({ write: { name } }) => name === write.name);
      if (former?.section === section && former.write.sort === write.sort) former.write = write;
      else waiting.push({ write, section });
      if (isStopped && clock.monotonic() - stoppedAt >= retryAfter) isStopped = false;
      if (!isStopped) void goOn();
    },
    border() {
      section += 1;
    },
    has: (name) => [...doing, ...waiting].some(({ write }) => write.name === name),
    settled() {
      const left = new Set([...doing, ...waiting]);
      if (left.size === 0) return Promise.resolve();
      return new Promise((resolve, reject) => {
        waiters.push({ left, done: resolve, fail: reject });
        isStopped = false;
        void goOn();
      });
    },
    close() {
      isClosed = true;
    },
  };

  async function goOn(): Promise<void> {
    if (isGoing) return;
    isGoing = true;
    // What is changed in one go is written once.
    await setImmediate();
    while (waiting.length > 0 && !isStopped && !isClosed) await doNext();
    isGoing = false;
  }

  async function doNext(): Promise<void> {
    const group = nextGroup();
    waiting = waiting.slice(group.length);
    doing = group;
    const results = await Promise.allSettled(group.map(({ write }) => write.carryOut()));
    doing = [];
    const failed = group.filter((_, index) => results[index]?.status === "rejected");
    waiting = [...failed, ...waiting];
    for (const entry of group) if (!failed.includes(entry)) finish(entry);
    const failure = results.find((result) => result.status === "rejected");
    if (failure === undefined) return;
    isStopped = true;
    stoppedAt = clock.monotonic();
    const rejected = waiters;
    waiters = [];
    for (const { fail } of rejected) fail(failure.reason);
  }

  function nextGroup(): readonly Entry[] {
    const [first] = waiting;
    const group: Entry[] = [];
    const names = new Set<string>();
    for (const entry of waiting.slice(0, mostAtOnce)) {
      if (entry.section !== first?.section || entry.write.sort !== first.write.sort) break;
      if (names.has(entry.write.name)) break;
      names.add(entry.write.name);
      group.push(entry);
    }
    return group;
  }

  function finish(entry: Entry): void {
    for (const waiter of waiters) {
      if (waiter.left.delete(entry) && waiter.left.size === 0) waiter.done();
    }
    waiters = waiters.filter(({ left }) => left.size > 0);
  }
}
