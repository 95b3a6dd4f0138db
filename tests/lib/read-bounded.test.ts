import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readBounded } from "../../src/lib/read-bounded.ts";
import { runCommand } from "../../src/lib/run-command.ts";
import { temporaryFolder } from "../support/temporary.ts";

test("a file is read as far as it may be long", () => {
  const file = join(temporaryFolder(), "file");
  writeFileSync(file, "x".repeat(200_000));
  expect(readBounded(file, 200_001).toString()).toBe("x".repeat(200_000));
  expect(readBounded(file, 150_000)).toHaveLength(150_000);
  writeFileSync(file, "");
  expect(readBounded(file, 10)).toHaveLength(0);
});

test("what comes through a pipe is read to its end, and of one without end no more than is wanted", async () => {
  const pipe = join(temporaryFolder(), "pipe");
  const written = (script: string, most: number): Buffer => {
    const writer = spawn("/bin/sh", ["-c", `${script} >"$0"`, pipe], { stdio: "ignore" });
    onTestFinished(() => void writer.kill("SIGKILL"));
    return readBounded(pipe, most);
  };
  expect((await runCommand("mkfifo", [pipe], { env: { PATH: process.env.PATH ?? "" } })).exitCode).toBe(0);
  expect(written("for part in a b; do echo $part; sleep 0.1; done", 100).toString()).toBe("a\nb\n");
  expect(written("yes", 200_000)).toHaveLength(200_000);
});

test.each([
  ["a folder", "/tmp", "EISDIR"],
  ["a device without end", "/dev/zero", "ENODEV"],
  ["a device without content", "/dev/null", "ENODEV"],
  ["nothing", "/nowhere/at/all", "ENOENT"],
])("%s is refused", (_, path, code) => {
  expect(() => readBounded(path, 10)).toThrow(expect.objectContaining({ code }));
});
