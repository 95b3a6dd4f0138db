import { describe, expect, test } from "vitest";
import { createLogLines, logLabel } from "../../src/cli/log-lines.ts";

const train = { stage: "train", source: "attempt 1" };
const serve = { stage: "serve", source: "replica 1" };

describe("the lines of a log", () => {
  test("are whole, wherever the text was cut", () => {
    const lines = createLogLines();
    expect(lines.add(train, "one\ntw")).toEqual(["one"]);
    expect(lines.add(train, "o\n\nthr")).toEqual(["two", ""]);
    expect(lines.add(train, "ee\n")).toEqual(["three"]);
    expect(lines.rest()).toEqual([]);
  });

  test("are not mixed with those of another stage, attempt or replica", () => {
    const lines = createLogLines();
    lines.add(train, "no end");
    expect(lines.add(serve, "serving\n")).toEqual(["serving"]);
    expect(lines.add({ ...train, source: "attempt 2" }, "again\n")).toEqual(["again"]);
    expect(lines.rest()).toEqual([{ log: train, line: "no end" }]);
  });

  test("that wait can be had for one stage", () => {
    const lines = createLogLines();
    lines.add(train, "a");
    lines.add(serve, "b");
    expect(lines.rest("train")).toEqual([{ log: train, line: "a" }]);
    expect(lines.rest()).toEqual([{ log: serve, line: "b" }]);
  });

  test("show what a progress bar drew last", () => {
    expect(createLogLines().add(train, "10%\r50%\r100%\ndone\r\n")).toEqual(["100%", "done"]);
  });

  test("hold no control character but the tab", () => {
    const shown = createLogLines().add(train, "\x1b[2J\x07a\tb\x9b31m\u202e\n");
    expect(shown).toEqual(["\\x1b[2J\\x07a\tb\\x9b31m\\u202e"]);
  });

  test("have no colours", () => {
    expect(createLogLines().add(train, "\x1b[1;31mred\x1b[0m and \x1b[38:5:1mmore\n")).toEqual([
      "red and more",
    ]);
  });

  test("are shown in parts when they have no end", () => {
    const lines = createLogLines();
    const [part] = lines.add(train, "x".repeat(70_000));
    expect(part).toHaveLength(70_000);
    expect(lines.add(train, "y\n")).toEqual(["y"]);
  });
});

test.each([
  ["train", "attempt 2", "train"],
  ["serve", "replica 1", "serve"],
  ["serve", "replica 1 of 2", "serve replica 1 of 2"],
  ["serve", "replica 2 of 2", "serve replica 2 of 2"],
  ["train", "environment", "train environment"],
])("The log of %s, %s, is called %s", (stage, source, label) => {
  expect(logLabel({ stage, source })).toBe(label);
});
