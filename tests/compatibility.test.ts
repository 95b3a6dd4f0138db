import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { commandTable } from "../src/cli/command-table.ts";
import { behaviourSections } from "./support/compatibility/behaviour-rows.ts";
import { commandSections } from "./support/compatibility/command-rows.ts";
import { originalCommands } from "./support/compatibility/original-commands.ts";
import type { TestReference } from "./support/compatibility/row.ts";

const root = join(import.meta.dirname, "..");
const sections = [...commandSections, ...behaviourSections];
const rows = sections.flatMap((section) => section.rows);

const options = originalCommands.flatMap(({ words, options }) =>
  options.map((option) => [words, option] as const),
);

test.each(options)("the option of the original is one of ours, and has a row: %s --%s", (words, option) => {
  const command = commandTable.find((spec) => spec.words.join(" ") === words);
  expect(namesOf(command?.options ?? [])).toContain(option);
  expect(rows.filter(({ what }) => what.startsWith(`\`${words} --${option}\``))).toHaveLength(1);
});

test.each(originalCommands)(
  "the command of the original is one of ours, with its arguments: $words",
  ({ words, arguments: names }) => {
    const command = commandTable.find((spec) => spec.words.join(" ") === words);
    expect(command?.arguments.length).toBeGreaterThanOrEqual(names.length);
    expect(rows.some(({ what }) => what.includes(words.split(" ").at(-1) as string))).toBe(true);
  },
);

describe("a row", () => {
  test("names nothing that another names", () => {
    for (const { title, rows } of sections) {
      const names = rows.map(({ what }) => what);
      expect(
        names.filter((name, index) => names.indexOf(name) !== index),
        title,
      ).toEqual([]);
    }
  });

  test("is shown by a test, unless only a cluster could show it", () => {
    const without = rows.filter(({ shownBy }) => shownBy.length === 0);
    expect(without.filter(({ verdict }) => verdict !== "Kubernetes")).toEqual([]);
  });

  test("says what it is here when it is not the same", () => {
    const silent = rows.filter(
      ({ verdict, note }) => ["changed", "own words"].includes(verdict) && note === undefined,
    );
    expect(silent).toEqual([]);
  });

  test("speaks of no Kubernetes object where it is kept: what does is said in other words here", () => {
    const objects = /k8s|kubernetes|namespace=NS|service-account|cluster-role|\bpods?\b/i;
    const named = rows.filter(({ verdict, what }) => verdict === "kept" && objects.test(what));
    // The original's message on a secret that is missing; a namespace is nothing of Kubernetes alone.
    expect(named.map(({ what }) => what)).toEqual([
      "`cannot find key=VAR in secret=SECRET in namespace=NS`, `; `-joined",
    ]);
  });
});

const references = [
  ...new Map(rows.flatMap(({ shownBy }) => shownBy).map((test) => [JSON.stringify(test), test])).values(),
];

test.each(references)("the test is there: $file, $title", (reference) => {
  expect(isThere(reference)).toBe(true);
});

test("a test that is not there would be missed", () => {
  expect(isThere({ file: "tests/compatibility.test.ts", title: "no such title" })).toBe(false);
});

/** Its title stands as the first argument of a call, of `test`, `it` or what `test.each` gives. */
function isThere({ file, title }: TestReference): boolean {
  const text = readFileSync(join(root, file), "utf8");
  return text
    .split(JSON.stringify(title))
    .slice(0, -1)
    .some((before) => /\(\s*$/.test(before));
}

function namesOf(options: (typeof commandTable)[number]["options"]): readonly string[] {
  return options.flatMap((option) => {
    if (option.kind === "value") return [option.name, ...(option.aliases ?? [])];
    return option.negatable ? [option.name, `no-${option.name}`] : [option.name];
  });
}
