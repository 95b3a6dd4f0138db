import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createCappedLog } from "../../src/lib/capped-log.ts";
import { temporaryFolder } from "../support/temporary.ts";

function logIn(folder: string): { readonly file: string; readonly descriptor: number } {
  const file = join(folder, "server.log");
  const descriptor = openSync(file, "a", 0o600);
  onTestFinished(() => closeSync(descriptor));
  return { file, descriptor };
}

test("a log that gets too large begins anew, and what it held before is kept once", () => {
  const { file, descriptor } = logIn(temporaryFolder("log"));
  const log = createCappedLog(descriptor, file, 100);
  for (let line = 0; line < 50; line++) log.write(`line ${String(line).padStart(4, "0")}\n`);
  expect(statSync(file).size).toBeLessThanOrEqual(100);
  expect(statSync(`${file}.1`).size).toBeLessThanOrEqual(100);
  const kept = readFileSync(`${file}.1`, "utf8") + readFileSync(file, "utf8");
  expect(kept).toMatch(/^line 0030\n(line 00\d\d\n){18}line 0049\n$/);
  expect((statSync(`${file}.1`).mode & 0o777).toString(8)).toBe("600");
});

test("what others write to it counts: it is too large at the start of a server too", () => {
  const { file, descriptor } = logIn(temporaryFolder("log"));
  appendFileSync(file, "x".repeat(500));
  createCappedLog(descriptor, file, 100).write("first\n");
  expect([readFileSync(file, "utf8"), statSync(`${file}.1`).size]).toEqual(["first\n", 500]);
});

test("when what it held can't be kept it begins anew all the same", () => {
  const { file, descriptor } = logIn(temporaryFolder("log"));
  mkdirSync(join(`${file}.1`, "in-the-way"), { recursive: true });
  const log = createCappedLog(descriptor, file, 10);
  for (const text of ["12345678\n", "12345678\n", "next\n"]) log.write(text);
  expect(readFileSync(file, "utf8")).toBe("next\n");
});

test("what is open but is not that file is left as it is, however much is written", () => {
  const folder = temporaryFolder("log");
  const { file } = logIn(folder);
  const elsewhere = openSync(join(folder, "elsewhere"), "a");
  onTestFinished(() => closeSync(elsewhere));
  const log = createCappedLog(elsewhere, file, 10);
  for (let line = 0; line < 10; line++) log.write("12345678\n");
  expect(statSync(join(folder, "elsewhere")).size).toBe(90);
});

test("a log that can't be written stops nobody", () => {
  const { file, descriptor } = logIn(temporaryFolder("log"));
  const full = openSync("/dev/full", "a");
  onTestFinished(() => closeSync(full));
  expect(() => createCappedLog(full, file).write("lost\n")).not.toThrow();
  createCappedLog(descriptor, join(file, "no-such")).write("kept\n");
  expect(readFileSync(file, "utf8")).toBe("kept\n");
});
