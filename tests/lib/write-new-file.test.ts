import { readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeNewFile } from "../../src/lib/write-new-file.ts";
import { temporaryFolder } from "../support/temporary.ts";

async function* chunks(...texts: readonly (string | Error)[]): AsyncIterable<Uint8Array> {
  for (const text of texts) {
    if (text instanceof Error) throw text;
    yield Buffer.from(text);
  }
}

test("what comes is a file when all of it has come, for this user alone", async () => {
  const folder = temporaryFolder();
  await writeNewFile(join(folder, "a"), chunks("one", "two"));
  expect(readFileSync(join(folder, "a"), "utf8")).toBe("onetwo");
  expect(statSync(join(folder, "a")).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(["a"]);
});

test("what does not come to its end is no file", async () => {
  const folder = temporaryFolder();
  await expect(writeNewFile(join(folder, "a"), chunks("one", new Error("cut")))).rejects.toThrow("cut");
  expect(readdirSync(folder)).toEqual([]);
});

test("a file that is there stays as it is, and so does what a link leads to", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "a"), "mine");
  symlinkSync("a", join(folder, "link"));
  symlinkSync("nowhere", join(folder, "dangling"));
  for (const name of ["a", "link", "dangling"]) {
    await expect(writeNewFile(join(folder, name), chunks("x"))).rejects.toMatchObject({ code: "EEXIST" });
  }
  expect(readFileSync(join(folder, "a"), "utf8")).toBe("mine");
  expect(readdirSync(folder).sort()).toEqual(["a", "dangling", "link"]);
  await expect(writeNewFile(join(folder, "no", "a"), chunks("x"))).rejects.toMatchObject({ code: "ENOENT" });
});
