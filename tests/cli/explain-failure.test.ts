import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { explainFailure } from "../../src/cli/explain-failure.ts";
import { Failure, type FailureCode, failureCatalogue } from "../../src/core/failure.ts";
import { rawControl } from "./support/control-characters.ts";
import { run } from "./support/terminal.ts";

const quiet = { debug: false, version: "4.0.0" };

test.each(Object.keys(failureCatalogue) as FailureCode[])(
  "A failure of the code %s exits with 2 when it is wrong usage, else with 1",
  (code) => {
    expect(explainFailure(new Failure(code, "No."), quiet).exitCode).toBe(code === "usage" ? 2 : 1);
  },
);

describe("a failure", () => {
  test("is shown with its details below it and what to do at the end", () => {
    const failure = new Failure("environment-failed", "Cannot build it.", {
      details: ["one\ntwo", "three"],
      hint: "Correct the requirements.",
    });
    expect(explainFailure(failure, quiet).lines).toEqual([
      ...["Error: Cannot build it.", "  one", "  two", "  three", "Hint: Correct the requirements."],
    ]);
  });

  test("shows no control characters of what it quotes", () => {
    const failure = new Failure("not-found", "No \x1b]0;title\x07.", {
      details: ["\x9b2J"],
      hint: "\x1b[1m",
    });
    expect(explainFailure(failure, quiet).lines.join("")).not.toMatch(rawControl);
  });
});

describe("a fault of ours", () => {
  test("says so, and how to see more", () => {
    const [first, second] = explainFailure(new TypeError("x is undefined"), quiet).lines;
    expect(first).toBe("Error: Something went wrong inside Bodywork 4.0.0: x is undefined");
    expect(second).toContain("BODYWORK_DEBUG=1");
  });

  test("shows its stack, and that of its cause, when asked", () => {
    const cause = new RangeError("too far");
    const failure = new Failure("internal", "It broke.", { cause });
    const text = explainFailure(failure, { ...quiet, debug: true }).lines.join("\n");
    expect(text).toContain("It broke.");
    expect(text).toContain("RangeError: too far");
    expect(text).toMatch(/ {2}at .*explain-failure\.test\.ts/);
  });
});

test("Whatever a command throws is explained on standard error", async () => {
  const wiring = {
    operations: async () => {
      throw new Failure("store-damaged", "The store is damaged.", { hint: "Restore it." });
    },
  };
  expect(await run("get deployments", { wiring })).toMatchObject({
    exitCode: 1,
    stdout: "",
    stderr: "Error: The store is damaged.\nHint: Restore it.\n",
  });
});

test.each([
  ["get deployments --output json", (text: string): unknown => JSON.parse(text)],
  ["create deployment https://forge.test/p --output yaml", (text: string): unknown => parse(text)],
])("It is a record on standard output for a program that reads it: %s", async (line, read) => {
  const fails = async (): Promise<never> => {
    throw new Failure("store-damaged", "The store is damaged.", { hint: "Restore it." });
  };
  const { exitCode, stdout, stderr } = await run(line, { operations: { deployments: fails, deploy: fails } });
  expect(exitCode).toBe(1);
  expect(read(stdout)).toEqual({
    error: { code: "store-damaged", message: "The store is damaged.", details: [], hint: "Restore it." },
  });
  expect(stderr).toContain("Error: The store is damaged.\nHint: Restore it.\n");
});

test("A command that a test gives nothing to is a fault of ours, with its stack when debugging", async () => {
  const { exitCode, stderr } = await run("get deployments", {}, { debug: true });
  expect(exitCode).toBe(1);
  expect(stderr).toContain("the test gives no deployments");
  expect(stderr).toContain("terminal.ts");
});
