import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { announceEngine, noticeText, paint, recordText, table } from "../../src/cli/output.ts";
import { rawControl } from "./support/control-characters.ts";
import { testTerminal, testWiring } from "./support/terminal.ts";

const piped = testTerminal().io.stdout;
const terminal = testTerminal({ terminal: true, columns: 80, color: true }).io.stdout;

/** What moves a cursor, changes colours, or turns the direction of writing. */
const dangerous = "a\x1b[31mb\x07c\x9bd\u202ee\x7ff";

describe("a table", () => {
  const cells = {
    title: "services",
    head: ["Name", "URL"],
    rows: [
      ["one", "http://127.0.0.1:8080/a/one"],
      ["a longer name", ""],
    ],
  };

  test("is plain columns when it goes to no terminal", () => {
    expect(table(piped, cells)).toBe(
      [
        "services",
        "Name           URL",
        "one            http://127.0.0.1:8080/a/one",
        "a longer name",
        "",
      ].join("\n"),
    );
  });

  test("has borders on a terminal", () => {
    const lines = table(terminal, cells).split("\n");
    expect(lines[1]).toMatch(/^┌─+┬─+┐$/);
    expect(lines[2]).toMatch(/^│ Name +│ URL +│$/);
  });

  test("is never wrapped or cut, on a narrow terminal neither", () => {
    const long = "x".repeat(500);
    for (const stream of [piped, testTerminal({ terminal: true, columns: 20 }).io.stdout]) {
      expect(table(stream, { head: ["A", "B"], rows: [[long, "end"]] })).toMatch(new RegExp(`${long}.*end`));
    }
  });

  test("keeps its columns under each other with wide and composed characters", () => {
    const rows = [
      ["日本語", "1"],
      ["e\u0301te\u0301", "2"],
      ["👩‍🔬 lab", "3"],
      ["plain", "4"],
    ];
    const [, ...lines] = table(piped, { head: ["Name", "N"], rows })
      .trimEnd()
      .split("\n");
    // Columns of a terminal: each of 日本語 takes two, a combining accent none, the emoji two.
    const widths = { 日本語: 6, "e\u0301te\u0301": 3, "👩‍🔬 lab": 6, plain: 5 };
    const ends = lines.map((line, index) => {
      const name = rows[index]?.[0] as keyof typeof widths;
      return widths[name] + line.slice(name.length).search(/\d/);
    });
    expect(ends).toEqual([8, 8, 8, 8]);
  });

  test("may have several lines in a cell", () => {
    expect(table(piped, { head: ["A", "B"], rows: [["one\ntwo", "x"]] })).toBe("A    B\none  x\ntwo\n");
  });

  test("shows no control character of its title and its cells", () => {
    const text = table(terminal, { title: dangerous, head: ["A"], rows: [[dangerous]] });
    expect(text.match(/a\\x1b\[31mb\\x07c\\x9bd\\u202ee\\x7ff/g)).toHaveLength(2);
    expect(text).not.toMatch(rawControl);
  });
});

describe("a record", () => {
  const record = { name: dangerous, lines: "one\ntwo\n", none: null, gone: undefined, list: [1, true] };

  test.each([
    ["JSON", "json", (text: string): unknown => JSON.parse(text)],
    ["YAML", "yaml", (text: string): unknown => parse(text)],
  ] as const)(
    "of %s says the same when it is read again, without a control character",
    async (_, format, read) => {
      const text = await recordText(format, record);
      expect(read(text)).toEqual({ name: dangerous, lines: "one\ntwo\n", none: null, list: [1, true] });
      expect(text).not.toMatch(rawControl);
      expect(text.endsWith("\n")).toBe(true);
    },
  );

  test("of YAML is easy to read when nothing in it is dangerous", async () => {
    expect(await recordText("yaml", { name: "a b", lines: "one\ntwo\n" })).toBe(
      "name: a b\nlines: |\n  one\n  two\n",
    );
  });

  test("of YAML repeats what is there twice, and wraps nothing", async () => {
    const stage = { name: "x ".repeat(100).trim() };
    expect(await recordText("yaml", [stage, stage])).toBe(`- name: ${stage.name}\n- name: ${stage.name}\n`);
  });
});

describe("a notice", () => {
  test("is marked by its level, with its details below", () => {
    expect(noticeText(piped, "info", "Fine.")).toBe("Fine.\n");
    expect(noticeText(piped, "warning", "Odd.", ["one", "two"])).toBe("Warning: Odd.\n  one\n  two\n");
    expect(noticeText(piped, "error", "Bad.")).toBe("Error: Bad.\n");
  });

  test("has colours where colours are wanted, and nowhere else", () => {
    expect(noticeText(terminal, "warning", "Odd.")).toBe("\x1b[33mWarning: Odd.\x1b[39m\n");
    expect(paint(piped).red("Bad.")).toBe("Bad.");
  });
});

test("The engine that a command acts on is told on standard error, with the reason", async () => {
  const { io, stdout, stderr } = testTerminal();
  await announceEngine(io, testWiring());
  expect(stderr()).toBe("engine: local (no kubeconfig on this machine)\n");
  expect(stdout()).toBe("");
});
