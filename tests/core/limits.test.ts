import { describe, expect, test } from "vitest";
import { batchStage, errorsOf, fileWith, parse } from "./support/project-file.ts";

/** Far more than any of these takes; a file that takes longer hangs whoever reads it. */
const longest = 1_000;

const many = (count: number, text: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => text(index)).join("");

describe("a file that is too much is refused clearly, and in under a second", () => {
  test.each([
    ["more than 1 MiB", `a: ${"x".repeat(1024 * 1024)}`, "the file has more than 1 MiB"],
    [
      "more than 4096 keys in a mapping",
      many(4097, (index) => `k${index}: 1\n`),
      "a mapping has more than 4096 keys",
    ],
    ["more than 100000 values", `a: [${"1,".repeat(100_001)}]`, "the file has more than 100000 values"],
    ["33 levels of brackets", `a: ${"[".repeat(33)}`, "values are nested more than 32 deep"],
    ["400000 levels of brackets", "[".repeat(400_000), "values are nested more than 32 deep"],
    ["500000 dashes", "- ".repeat(500_000), "values are nested more than 32 deep"],
    [
      "1000 levels of indentation",
      many(1000, (depth) => `${" ".repeat(depth)}a:\n`),
      "values are nested more than 32 deep",
    ],
    [
      "aliases that stand for billions",
      `a0: &a0 [x]\n${many(30, (index) => `a${index + 1}: &a${index + 1} [${`*a${index},`.repeat(10)}]\n`)}`,
      "its aliases stand for too many values",
    ],
    [
      "merges of a large mapping into many",
      `a: &a {${many(4000, (index) => `k${index}: 1,`)}}\n${many(4000, (index) => `m${index}: {<<: *a}\n`)}`,
      "its aliases stand for too many values",
    ],
    ["a mapping that merges itself", "a: &a\n  <<: *a\n", "a mapping merges itself by <<"],
    ["mappings that merge each other", "a: &a\n  <<: &b\n    <<: *a\n", "a mapping merges itself by <<"],
  ])("%s", (_what, text, message) => {
    const started = performance.now();
    const found = errorsOf(text);
    expect(performance.now() - started).toBeLessThan(longest);
    expect(found).toEqual([`Cannot parse YAML from bodywork.yaml: ${message}`]);
  });

  test("a DAG of a million names", () => {
    const started = performance.now();
    expect(errorsOf(fileWith({ "pipeline.DAG": `"${"a,".repeat(400_000)}"` }))).toEqual([
      "pipeline.DAG -> names more than 10000 stages",
    ]);
    expect(performance.now() - started).toBeLessThan(longest);
  });
});

test("what is just within the limits is read", () => {
  expect(errorsOf(fileWith({ extra: `{${many(4096, (index) => `k${index}: 1, `)}}` }))).toEqual([]);
  expect(errorsOf(fileWith({ extra: `${"[".repeat(31)}${"]".repeat(31)}` }))).toEqual([]);
  expect(errorsOf(fileWith({ extra: `${"[".repeat(32)}${"]".repeat(32)}` }))).toHaveLength(1);
});

test("tens of thousands of errors are a report, too", () => {
  const found = errorsOf(fileWith({ "stages.forecast.needs": `[${many(90_000, (index) => `s${index},`)}]` }));
  expect(found).toHaveLength(90_000);
});

test("values that hold themselves are no endless loop", () => {
  const file = fileWith().replace("stages:", "stages: &all").replace("logging:", "  self: *all\nlogging:");
  expect(errorsOf(file)).toEqual(["stages.self.batch/service"]);
  expect(errorsOf(fileWith({ "stages.measure.args": "&a [*a]" }))).toEqual([
    'stages.measure.args -> [{"0": ["must be of string type"]}]',
  ]);
});

/** Work that grows with the square of the file shows as soon as there are thousands of each. */
test.each([
  ["1000 stages in steps", 1000, " >> ", {}],
  ["2000 stages side by side", 2000, ",", {}],
  ["2000 stages that each need the one before and take from the first", 2000, ",", "chain"],
  ["1000 stages with forty misspelt keys each", 1000, ",", "misspelt"],
])("%s take no time that grows with their square", (_what, count, operator, more) => {
  const name = (index: number): string => `stage_${index}`;
  const extra = (index: number): Record<string, string> => {
    if (more === "misspelt")
      return {
        extra: `{}`,
        ...Object.fromEntries(Array.from({ length: 40 }, (_, key) => [`cpu_requst${key}`, "1"])),
      };
    if (more !== "chain") return {};
    if (index === 0) return { outputs: "{m: m}", needs: "[]" };
    return { needs: `[${name(index - 1)}]`, inputs: `{m: ${name(0)}.m}` };
  };
  const stages = Object.fromEntries(
    Array.from({ length: count }, (_, index) => [name(index), batchStage(extra(index))]),
  );
  const file = fileWith({ stages, "pipeline.DAG": Object.keys(stages).join(operator) });
  const started = performance.now();
  const { project } = parse(file);
  expect(performance.now() - started).toBeLessThan(2 * longest);
  expect(project?.stages.size).toBe(count);
});
