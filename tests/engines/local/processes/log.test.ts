import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";

import { capLog } from "../../../../src/engines/local/processes/cap-log.ts";
import { createLogReader, lastLines } from "../../../../src/engines/local/processes/follow-log.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { createBench, until } from "./support.ts";

const kib = 1024;
/** `count` numbered lines of 100 bytes from `first`. */
const numbered = (first: number, count: number): string =>
  Array.from({ length: count }, (_, index) => `${String(first + index).padEnd(99, ".")}\n`).join("");

test("a log that grew too long keeps its start, its end, and the number of bytes between", async () => {
  const file = join(temporaryFolder(), "log");
  const lines = numbered(0, 20_000);
  writeFileSync(file, lines);
  await capLog(file, 1024 * kib);
  const kept = readFileSync(file, "utf8");
  expect(kept.length).toBeLessThanOrEqual(512 * kib);
  const [, head = "", dropped = "", tail = ""] =
    kept.match(/^(.*)\[bodywork: +(\d+) bytes of the log were dropped here\]\n(.*)$/s) ?? [];
  expect(head.length).toBeGreaterThan(60 * kib);
  expect(tail.length).toBeGreaterThanOrEqual(255 * kib);
  expect(lines.startsWith(head)).toBe(true);
  expect(lines.endsWith(tail)).toBe(true);
  expect(head.length + Number(dropped) + tail.length).toBe(lines.length);

  appendFileSync(file, numbered(20_000, 10_000));
  await capLog(file, 1024 * kib);
  const again = readFileSync(file, "utf8");
  expect(again.match(/bodywork:/g)).toHaveLength(1);
  const total = Number(again.match(/bodywork: +(\d+)/)?.[1]);
  const line = again.match(/\[bodywork.*\n/)?.[0] ?? "";
  expect(again.length - line.length + total).toBe(3_000_000);
});

test("a flood stays near the cap and stalls nobody", async () => {
  const cap = 1024 * kib;
  const { script } = await createBench({ logCapBytes: cap });
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const running = await script("yes 'a line of the flood' | head -c 1000000000");
  let highest = 0;
  const watching = setInterval(() => {
    // The program may only be about to make it.
    const found = statSync(running.logFile, { throwIfNoEntry: false });
    highest = Math.max(highest, (found?.blocks ?? 0) * 512);
  }, 20);
  const started = performance.now();
  const other = await (await script("exit 0")).exited;
  expect(other).toEqual({ kind: "exited", code: 0 });
  expect(performance.now() - started).toBeLessThan(2_000);
  expect(await running.exited).toEqual({ kind: "exited", code: 0 });
  clearInterval(watching);
  expect(delay.percentile(99) / 1e6).toBeLessThan(200);
  // Without the cap it would be a gigabyte; what is written between two looks comes on top.
  expect(highest).toBeLessThan(900_000_000);
  expect(statSync(running.logFile).size).toBeLessThanOrEqual(cap);
  const lines = await lastLines(running.logFile, 2);
  expect(lines[0]).toBe("a line of the flood");
});

test("the last lines of a log are read from its end", async () => {
  const file = join(temporaryFolder(), "log");
  expect(await lastLines(file, 3)).toEqual([]);
  writeFileSync(file, "");
  expect(await lastLines(file, 3)).toEqual([]);
  writeFileSync(file, "a\nb\r\nc\n");
  expect(await lastLines(file, 2)).toEqual(["b", "c"]);
  expect(await lastLines(file, 9)).toEqual(["a", "b", "c"]);
  writeFileSync(file, "a\n\nno newline");
  expect(await lastLines(file, 2)).toEqual(["", "no newline"]);
  writeFileSync(file, numbered(0, 50_000));
  expect((await lastLines(file, 1000)).map((line) => Number.parseInt(line, 10))).toEqual(
    Array.from({ length: 1000 }, (_, index) => 49_000 + index),
  );
  writeFileSync(file, "x".repeat(10_000_000));
  expect((await lastLines(file, 5))[0]?.length).toBe(256 * kib);
});

interface Reading {
  text(): string;
  stop(): Promise<string>;
}

function follow(file: string, tail?: number): Reading {
  const abort = new AbortController();
  let got = "";
  const reader = createLogReader(dirname(file));
  const reading = (async () => {
    for await (const chunk of reader.read("log", { follow: true, tail, signal: abort.signal })) got += chunk;
  })();
  return {
    text: () => got,
    async stop() {
      abort.abort();
      await reading;
      return got;
    },
  };
}

test("a log is followed from before it is there, and what was written before the stop is delivered", async () => {
  const file = join(temporaryFolder(), "log");
  const reading = follow(file);
  await sleep(50);
  writeFileSync(file, "one\n");
  await until(() => reading.text() === "one\n");
  appendFileSync(file, "two\n");
  expect(await reading.stop()).toBe("one\ntwo\n");
});

test("a stop before the first look still delivers the whole log", async () => {
  const file = join(temporaryFolder(), "log");
  const lines = numbered(0, 20_000);
  writeFileSync(file, lines);
  expect(await follow(file).stop()).toBe(lines);
});

test("characters that come in pieces stay whole", async () => {
  const file = join(temporaryFolder(), "log");
  const bytes = Buffer.from("€".repeat(50_000));
  writeFileSync(file, bytes.subarray(0, 1000));
  const reading = follow(file);
  await until(() => reading.text().length === 333);
  appendFileSync(file, bytes.subarray(1000));
  expect(await reading.stop()).toBe("€".repeat(50_000));
});

test("only the last lines are read when that is asked for", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "log"), "a\nb\nc\n");
  const read = async (tail: number): Promise<string> => {
    let got = "";
    for await (const chunk of createLogReader(folder).read("log", { tail, follow: false })) got += chunk;
    return got;
  };
  expect(await read(2)).toBe("b\nc\n");
  expect(await read(0)).toBe("");
  expect(await read(10)).toBe("a\nb\nc\n");
});

test("who follows a log misses nothing and sees nothing twice when its middle is dropped", async () => {
  const file = join(temporaryFolder(), "log");
  writeFileSync(file, "");
  const reading = follow(file);
  for (let part = 0; part < 12; part++) {
    appendFileSync(file, numbered(part * 2_000, 2_000));
    await until(() => reading.text().length === (part + 1) * 200_000);
    await capLog(file, 512 * kib);
  }
  expect(statSync(file).size).toBeLessThan(600 * kib);
  expect(await reading.stop()).toBe(numbered(0, 24_000));
});

test("who is behind when the middle is dropped is told how much is missing", async () => {
  const folder = temporaryFolder();
  const file = join(folder, "log");
  const lines = numbered(0, 20_000);
  writeFileSync(file, lines);
  const reader = createLogReader(folder).read("log", { follow: false })[Symbol.asyncIterator]();
  const first = (await reader.next()).value as string;
  await capLog(file, 1024 * kib);
  reader.return?.();
  const reading = await follow(file).stop();
  expect(lines.startsWith(first)).toBe(true);
  expect(reading).toMatch(/\[bodywork: +\d+ bytes of the log were dropped here\]\n/);
});

test("a log that somebody emptied or replaced is read on from its start", async () => {
  const file = join(temporaryFolder(), "log");
  writeFileSync(file, "a long first text\n");
  const reading = follow(file);
  await until(() => reading.text() !== "");
  truncateSync(file, 0);
  await sleep(50);
  appendFileSync(file, "second\n");
  await until(() => reading.text().endsWith("second\n"));
  expect(await reading.stop()).toBe("a long first text\nsecond\n");
});

test.each(["/etc/hostname", "../outside", "link", ""])(
  "a log outside the home folder is refused: %s",
  async (reference) => {
    const root = temporaryFolder();
    const home = join(root, "home");
    mkdirSync(home);
    writeFileSync(join(root, "outside"), "secret");
    symlinkSync("../outside", join(home, "link"));
    const read = async (): Promise<void> => {
      for await (const chunk of createLogReader(home).read(reference, { follow: false }))
        expect(chunk).toBe("never");
    };
    await expect(read()).rejects.toMatchObject({ code: "path-outside" });
  },
);
