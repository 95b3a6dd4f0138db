import { expect, test } from "vitest";
import type { RunEvent } from "../../src/core/run-state.ts";
import { type RunRecorder, recordRun } from "../../src/operations/record-run.ts";
import { createRunFeed, type RunFeed } from "../../src/operations/run-feed.ts";
import type { LogReader } from "../../src/ports/engine.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { aRun } from "../cli/support/records.ts";
import { quickClock } from "../support/fake-parts.ts";
import { temporaryFolder } from "../support/temporary.ts";

const never = new AbortController().signal;

/** Logs in memory; a reader that follows goes on until its signal aborts, and then gives what is left. */
function growingLogs() {
  const texts = new Map<string, string[]>();
  const waiting = new Set<() => void>();
  let [given, readers] = [0, 0];
  const logs: LogReader = {
    async *read(reference, { signal }) {
      readers += 1;
      try {
        for (let at = 0; ; ) {
          const text = texts.get(reference)?.[at];
          if (text !== undefined) {
            at += 1;
            given += 1;
            yield text;
          } else if (signal?.aborted) {
            return;
          } else {
            await new Promise<void>((resolve) => {
              waiting.add(resolve);
              signal?.addEventListener("abort", () => resolve(), { once: true });
            });
          }
        }
      } finally {
        readers -= 1;
      }
    },
  };
  return {
    logs,
    /** Texts that were read, by all readers. */
    read: () => given,
    /** Readers that have not ended. */
    readers: () => readers,
    write(reference: string, ...added: readonly string[]) {
      texts.set(reference, [...(texts.get(reference) ?? []), ...added]);
      for (const wake of waiting) wake();
    },
  };
}

function startedRun(logs: LogReader): { readonly feed: RunFeed; readonly recorder: RunRecorder } {
  const store = openStore(`${temporaryFolder("store")}/store.db`);
  const clock = quickClock();
  const feed = createRunFeed(store, logs, () => clock.now());
  const run = aRun({ status: "running", stages: [] });
  store.saveRun(run);
  return { feed, recorder: recordRun(run, store, feed, clock) };
}

async function textsOf(events: AsyncIterable<RunEvent>): Promise<readonly string[]> {
  const texts: string[] = [];
  for await (const event of events) texts.push(textOf(event));
  return texts;
}

function textOf(event: RunEvent): string {
  return event.kind === "log" || event.kind === "notice" ? event.text : event.status;
}

test("a follower gets what has happened, then what happens, and the end", async () => {
  const { feed, recorder } = startedRun(growingLogs().logs);
  recorder.notice("info", "before");
  const following = textsOf(feed.subscribe(recorder.run.id, 0, never));
  await settled();
  recorder.notice("info", "meanwhile");
  recorder.update({ status: "succeeded" });
  expect(await following).toEqual(["before", "meanwhile", "succeeded"]);
});

test("one that comes late, or again, gets only what it has not seen; of a finished run too", async () => {
  const { feed, recorder } = startedRun(growingLogs().logs);
  for (const text of ["one", "two", "three"]) recorder.notice("info", text);
  const early = textsOf(feed.subscribe(recorder.run.id, 2, never));
  await settled();
  recorder.update({ status: "failed", reason: "exit 3" });
  expect(await early).toEqual(["three", "failed"]);
  expect(await textsOf(feed.subscribe(recorder.run.id, 2, never))).toEqual(["three", "failed"]);
});

test("one that is slow in what has happened misses nothing of what happens meanwhile, not even the end", async () => {
  const { feed, recorder } = startedRun(growingLogs().logs);
  recorder.notice("info", "one");
  recorder.notice("info", "two");
  const texts: string[] = [];
  for await (const event of feed.subscribe(recorder.run.id, 0, never)) {
    texts.push(textOf(event));
    if (texts.length === 1) {
      recorder.notice("info", "three");
      recorder.update({ status: "succeeded" });
      await settled();
    }
  }
  expect(texts).toEqual(["one", "two", "three", "succeeded"]);
});

test("the log of a stage comes whole before the event that it has ended", async () => {
  const { logs, write } = growingLogs();
  const { feed, recorder } = startedRun(logs);
  const following = textsOf(feed.subscribe(recorder.run.id, 0, never));
  await settled();
  const close = recorder.tellLog("train", "attempt 1", "log");
  write("log", "first\n");
  await settled();
  write("log", "last\n");
  close();
  recorder.tellStage("train", "succeeded");
  recorder.update({ status: "succeeded" });
  expect(await following).toEqual(["first\n", "last\n", "succeeded", "succeeded"]);
});

test("whoever comes while a stage runs gets its log from the beginning", async () => {
  const { logs, write } = growingLogs();
  const { feed, recorder } = startedRun(logs);
  const close = recorder.tellLog("train", "attempt 1", "log");
  write("log", "first\n");
  const following = textsOf(feed.subscribe(recorder.run.id, 0, never));
  await settled();
  write("log", "second\n");
  close();
  recorder.update({ status: "succeeded" });
  expect(await following).toEqual(["first\n", "second\n", "succeeded"]);
});

test("one that does not keep up loses the oldest text of what is in no log, with a mark in its place, and no event", async () => {
  const { feed, recorder } = startedRun(growingLogs().logs);
  recorder.notice("info", "begun");
  const texts: string[] = [];
  for await (const event of feed.subscribe(recorder.run.id, 0, never)) {
    texts.push(textOf(event));
    if (texts.length !== 2) {
      if (texts.length === 1) setImmediate(() => recorder.tellText("train", "install", "first\n"));
      continue;
    }
    for (let index = 0; index < 5_000; index++) recorder.tellText("train", "install", `${index}\n`);
    for (let index = 0; index < 100; index++) recorder.notice("info", `event ${index}`);
    recorder.update({ status: "succeeded" });
    await settled();
  }
  const lines = texts.filter((text) => /^\d+\n$/.test(text));
  expect(lines.length).toBeLessThan(2_100);
  expect(lines.at(-1)).toBe("4999\n");
  expect(texts.filter((text) => text.includes("left out"))).toHaveLength(1);
  expect(texts.filter((text) => text.startsWith("event "))).toHaveLength(100);
  expect(texts.at(-1)).toBe("succeeded");
});

test("a log is read no faster than its follower takes it, and comes whole", async () => {
  const { logs, write, read } = growingLogs();
  const { feed, recorder } = startedRun(logs);
  const close = recorder.tellLog("train", "attempt 1", "log");
  write("log", "begun\n");
  const texts: string[] = [];
  for await (const event of feed.subscribe(recorder.run.id, 0, never)) {
    texts.push(textOf(event));
    if (texts.length !== 1) continue;
    write("log", ...Array.from({ length: 5_000 }, (_, index) => `${index}\n`));
    recorder.notice("info", "event");
    close();
    recorder.update({ status: "succeeded" });
    await settled();
    expect(read()).toBeLessThan(30);
  }
  const lines = texts.filter((text) => /^\d+\n$/.test(text));
  expect(lines).toEqual(Array.from({ length: 5_000 }, (_, index) => `${index}\n`));
  expect(texts.at(-1)).toBe("succeeded");
});

test("the logs of a follower that leaves in the middle are let go of", async () => {
  const { logs, write, read, readers } = growingLogs();
  const { feed, recorder } = startedRun(logs);
  recorder.tellLog("train", "attempt 1", "log");
  write("log", ...Array.from({ length: 5_000 }, (_, index) => `${index}\n`));
  for await (const _event of feed.subscribe(recorder.run.id, 0, never)) {
    await settled();
    break;
  }
  await settled();
  expect(readers()).toBe(0);
  expect(read()).toBeLessThan(30);
});

test("a log that can't be read does not end the feed", async () => {
  const broken: LogReader = {
    // biome-ignore lint/correctness/useYield: it fails before it has anything
    async *read() {
      throw new Error("gone");
    },
  };
  const { feed, recorder } = startedRun(broken);
  const following = textsOf(feed.subscribe(recorder.run.id, 0, never));
  await settled();
  recorder.tellLog("train", "attempt 1", "log")();
  recorder.update({ status: "failed" });
  expect(await following).toEqual(["failed"]);
});

test("a follower that leaves is forgotten, and the others go on", async () => {
  const { feed, recorder } = startedRun(growingLogs().logs);
  const leave = new AbortController();
  const leaving = textsOf(feed.subscribe(recorder.run.id, 0, leave.signal));
  const staying = textsOf(feed.subscribe(recorder.run.id, 0, never));
  await settled();
  leave.abort();
  expect(await leaving).toEqual([]);
  recorder.update({ status: "succeeded" });
  expect(await staying).toEqual(["succeeded"]);
});

/** Lets everything happen that can. */
async function settled(): Promise<void> {
  for (let round = 0; round < 20; round++) await new Promise((resolve) => setImmediate(resolve));
}
