import { chmodSync, chownSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkHome, prepareHome } from "../../src/http/prepare-home.ts";
import { temporaryFolder } from "../support/temporary.ts";

function unsafe(home: string, why: string) {
  return expect.objectContaining({
    code: "home-unsafe",
    message: `Cannot use the home folder ${home}: ${why}.`,
  });
}

test("a home that is not there is fine to look at, and is made for this user alone, with what is above it", () => {
  const home = join(temporaryFolder(), "a", "b");
  checkHome(home);
  expect(existsSync(home)).toBe(false);
  prepareHome(home);
  prepareHome(home);
  expect([home, join(home, "..")].map((folder) => statSync(folder).mode & 0o777)).toEqual([0o700, 0o700]);
});

test("a link to a folder is as good as the folder", () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "home"), { mode: 0o700 });
  symlinkSync("home", join(folder, "link"));
  prepareHome(join(folder, "link"));
});

test.each([0o720, 0o702, 0o777])(
  "a home into which others may write (%o) is refused, with what to do",
  (mode) => {
    const home = temporaryFolder();
    chmodSync(home, mode);
    for (const use of [checkHome, prepareHome]) {
      expect(() => use(home)).toThrow(unsafe(home, "other users may write into it"));
      expect(() => use(home)).toThrow(expect.objectContaining({ hint: `chmod 700 '${home}'` }));
    }
  },
);

test("another user's home is refused", () => {
  let home = "/";
  if (process.getuid?.() === 0) {
    home = temporaryFolder();
    chownSync(home, 12_345, 12_345);
  }
  for (const use of [checkHome, prepareHome]) {
    expect(() => use(home)).toThrow(unsafe(home, "it belongs to another user"));
  }
});

test("what is no folder, or can't be one, is refused", () => {
  const folder = temporaryFolder();
  const file = join(folder, "file");
  writeFileSync(file, "");
  for (const use of [checkHome, prepareHome])
    expect(() => use(file)).toThrow(unsafe(file, "it is no folder"));
  const below = join(file, "home");
  expect(() => checkHome(below)).toThrow(unsafe(below, "it can't be reached (ENOTDIR)"));
  expect(() => prepareHome(below)).toThrow(unsafe(below, "it can't be made (ENOTDIR)"));
  const nowhere = join(folder, "nowhere");
  symlinkSync("gone", nowhere);
  expect(() => prepareHome(nowhere)).toThrow(unsafe(nowhere, "it can't be made (EEXIST)"));
});

test.skipIf(process.platform !== "linux")("a place that takes no folders is refused at once", () => {
  const begun = performance.now();
  checkHome("/proc/bodywork");
  expect(() => prepareHome("/proc/bodywork/home")).toThrow(
    unsafe("/proc/bodywork/home", "it can't be made (ENOENT)"),
  );
  expect(performance.now() - begun).toBeLessThan(1_000);
});
