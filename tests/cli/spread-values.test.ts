import { expect, test } from "vitest";
import type { OptionSpec } from "../../src/cli/command-spec.ts";
import { spreadValues } from "../../src/cli/spread-values.ts";

const options: readonly OptionSpec[] = [
  { kind: "value", name: "data", value: "KEY=VALUE", repeatable: true, aliases: ["pair"], summary: "Pairs" },
  { kind: "value", name: "group", value: "GROUP", summary: "Group" },
  { kind: "flag", name: "quiet", summary: "Quiet" },
];

test.each([
  ["one pair", "n --data A=1", "n --data A=1"],
  ["several flags", "n --data A=1 --data B=2", "n --data A=1 --data B=2"],
  ["several pairs after one flag", "n --data A=1 B=2 C=3", "n --data A=1 --data=B=2 --data=C=3"],
  ["the first after an equals sign", "n --data=A=1 B=2", "n --data=A=1 --data=B=2"],
  ["an argument after the pairs", "--data A=1 B=2 n", "--data A=1 --data=B=2 n"],
  ["a flag after the pairs", "--data A=1 --quiet B=2", "--data A=1 --quiet B=2"],
  ["another name of the option", "--pair A=1 B=2", "--pair A=1 --pair=B=2"],
  ["an option that takes one value", "--group a=b c=d", "--group a=b c=d"],
  ["a value that looks like the option", "--group --data A=1 B=2", "--group --data A=1 B=2"],
  ["a first value without an equals sign", "--data A B=2", "--data A --data=B=2"],
  ["a pair that begins with a hyphen", "--data A=1 -B=2", "--data A=1 -B=2"],
  ["nothing after the option", "n --data", "n --data"],
  ["what stands after --", "--data A=1 -- B=2 C=3", "--data A=1 -- B=2 C=3"],
])("the words of a command with %s", (_, words, spread) => {
  expect(spreadValues(words.split(" "), options).join(" ")).toBe(spread);
});
