import { expect, test } from "vitest";
import { commandInput } from "../../src/cli/command-input.ts";
import type { CommandSpec } from "../../src/cli/command-spec.ts";

const spec: CommandSpec = {
  words: ["create", "secret"],
  summary: "Create a secret",
  arguments: [],
  options: [
    { kind: "value", name: "data", value: "KEY=VALUE", repeatable: true, summary: "Pairs" },
    { kind: "flag", name: "suspend", negatable: true, summary: "Suspend" },
  ],
  examples: [],
  load: async () => async () => 0,
};

test("a repeatable option has all its values, in order, and none when it was not given", () => {
  expect(commandInput(spec, [], new Map([["data", ["A=1", "B=2"]]])).texts("data")).toEqual(["A=1", "B=2"]);
  expect(commandInput(spec, [], new Map()).texts("data")).toEqual([]);
});

test("a flag with a --no- form tells neither from no", () => {
  expect(commandInput(spec, [], new Map()).choice("suspend")).toBeUndefined();
  expect(commandInput(spec, [], new Map([["suspend", false]])).choice("suspend")).toBe(false);
  expect(commandInput(spec, [], new Map([["suspend", true]])).choice("suspend")).toBe(true);
});
