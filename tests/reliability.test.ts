import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { reliabilityRows } from "./support/reliability-rows.ts";
import { testTitles } from "./support/test-titles.ts";

const root = join(import.meta.dirname, "..");

test("every fault of the list has a number, a promise, and a test that brings it about", () => {
  expect(reliabilityRows.map(({ number }) => number)).toEqual(reliabilityRows.map((_, index) => index + 1));
  expect(reliabilityRows.length).toBeGreaterThanOrEqual(33);
  const bare = reliabilityRows.filter(({ fault, promise, shownBy }) => !fault || !promise || !shownBy.length);
  expect(bare).toEqual([]);
});

test.for(reliabilityRows)("each test of row L$number is there: $fault", ({ shownBy }) => {
  expect(shownBy.filter(({ file, title }) => !titlesOf(file).includes(title))).toEqual([]);
});

test("a title that no test has, or that is only mentioned, would be missed", () => {
  const text = `
    test(\`a … (\${n} times)\`, () => { mention("b"); });
    test.for(cases)("c $x", f);
    describe("d", () => { test.skipIf(x)("that e", f); });
    describe("f", f);`;
  expect(testTitles(text)).toEqual(["a … (… times)", "c $x", "d that e"]);
  expect(titlesOf("tests/no-such-file.test.ts")).toEqual([]);
});

function titlesOf(file: string): readonly string[] {
  const path = join(root, file);
  return existsSync(path) ? testTitles(readFileSync(path, "utf8")) : [];
}
