import { describe, expect, test } from "vitest";
import { commandGroups, commandTable } from "../../src/cli/command-table.ts";
import { readCommandLine } from "../../src/cli/read-command-line.ts";

const commands = commandTable.map((spec) => [spec.words.join(" "), spec] as const);
const examples = commandTable.flatMap((spec) => spec.examples.map((example) => [example, spec] as const));

test.each(commands)("%s has an example", (_, spec) => {
  expect(spec.examples.length).toBeGreaterThan(0);
});

test.each(examples)("the example is read as the command it belongs to: %s", (example, spec) => {
  const words = wordsOf(example);
  expect(words[0]).toBe("bodywork");
  expect(readCommandLine(words.slice(1), undefined)).toMatchObject({ kind: "command", spec });
});

test.each(commands)("%s has code to load", async (_, spec) => {
  expect(await spec.load()).toBeTypeOf("function");
});

describe("the table", () => {
  test("has a group for what stands before the last word of any command, and no other", () => {
    const paths = commandTable.flatMap(({ words }) =>
      words.slice(1).map((_, index) => words.slice(0, index + 1).join(" ")),
    );
    expect(new Set(commandGroups.map(({ words }) => words.join(" ")))).toEqual(new Set(paths));
  });

  test("names no command, argument or option twice", () => {
    const names = commandTable.map(({ words }) => words.join(" "));
    expect(new Set(names).size).toBe(names.length);
    for (const spec of commandTable) {
      const inputs = [...spec.arguments, ...spec.options].map(({ name }) => name);
      expect(new Set(inputs).size).toBe(inputs.length);
    }
  });

  test("asks for no argument after one that may be left out", () => {
    for (const spec of commandTable) {
      const required = spec.arguments.map((argument) => argument.required);
      expect(required).toEqual(required.toSorted((one, other) => Number(other) - Number(one)));
    }
  });

  test("has only summaries of one line without a full stop", () => {
    const all = [...commandGroups, ...commandTable, ...commandTable.flatMap(({ options }) => options)];
    expect(all.map(({ summary }) => summary).filter((summary) => /\n|\.$/.test(summary))).toEqual([]);
  });
});

/** As a shell would split it: a redirection and a substitution are no words of the command. */
function wordsOf(example: string): readonly string[] {
  const command = /<\((.*)\)$/.exec(example)?.[1] ?? example;
  const words = command.replace(/ > .*$/, "").matchAll(/"([^"]*)"|(\S+)/g);
  return [...words].map(([, quoted, bare]) => quoted ?? bare ?? "");
}
