import { expect, test } from "vitest";
import { readYaml } from "../../../src/core/yaml/read-yaml.ts";
import type { YamlValue } from "../../../src/core/yaml/values.ts";

/** Types as YAML 1.1 has them, which YAML 1.2 and JSON do not: `1` is `int 1`, `1.0` is `float 1`. */
test.each([
  ["yes", "bool true"],
  ["On", "bool true"],
  ["OFF", "bool false"],
  ["y", "string y"],
  ["tRue", "string tRue"],
  ["~", "null"],
  ["", "null"],
  ["NULL", "null"],
  ["nil", "string nil"],
  ["7", "int 7"],
  ["+7", "int 7"],
  ["-0", "int 0"],
  ["017", "int 15"],
  ["019", "string 019"],
  ["0o17", "string 0o17"],
  ["0x1F", "int 31"],
  ["0b101", "int 5"],
  ["1_000", "int 1000"],
  ["_1", "string _1"],
  ["1:30", "int 90"],
  ["1:99", "string 1:99"],
  ["190:20:30", "int 685230"],
  ["1.", "float 1"],
  [".5", "float 0.5"],
  ["-.5", "string -.5"],
  ["1e3", "string 1e3"],
  ["1.0e3", "string 1.0e3"],
  ["1.0e+3", "float 1000"],
  ["1:30.5", "float 90.5"],
  [".inf", "float Infinity"],
  ["-.INF", "float -Infinity"],
  [".nan", "float NaN"],
  ["2024-02-29", "date 2024-02-29"],
  ["2024-2-9", "string 2024-2-9"],
  ["2024-02-09t10:11:12Z", "date 2024-02-09 10:11:12"],
  ["'7'", "string 7"],
  ['"7"', "string 7"],
  ["!!str 7", "string 7"],
  ['!!int "7"', "int 7"],
  ["!!float 7", "float 7"],
  ["! 7", "int 7"],
])("the scalar %j is %s", (written, shown) => {
  expect(shownOf(`a: ${written}\n`)).toBe(`{a: ${shown}}`);
});

test.each([
  ["folded lines", "a: >\n  one\n  two\n\n  three\n", "{a: string one two\nthree\n}"],
  ["literal lines", "a: |\n  one\n    two\n", "{a: string one\n  two\n}"],
  ["a stripped block", "a: |-\n  one\n\nb: 1", "{a: string one, b: int 1}"],
  ["a kept block", "a: |+\n  one\n\nb: 1", "{a: string one\n\n, b: int 1}"],
  ["an indented block", "a: |2\n    one\n", "{a: string   one\n}"],
  ["a plain text of several lines", "a: one\n  two\n\n  three\n", "{a: string one two\nthree}"],
  ["escapes", '"\\x61": "\\u00e9\\t\\\n  b"', "{a: string é\tb}"],
  ["a quote in quotes", "a: 'it''s'", "{a: string it's}"],
  ["flow in block", "a: [1, {b: c}, d: e]", "{a: [int 1, {b: string c}, {d: string e}]}"],
  ["a list at its key's indentation", "a:\n- 1\n- 2\nb: 3", "{a: [int 1, int 2], b: int 3}"],
  ["comments", "# x\na: 1 # y\n#z\nb: 2#3", "{a: int 1, b: string 2#3}"],
  ["an explicit key", "? a\n: 1\n? b\n", "{a: int 1, b: null}"],
  ["a directive", "%YAML 1.2\n---\na: 1\n...\n", "{a: int 1}"],
  ["Windows' line ends", "a: 1\r\nb:\r\n  - c\r\n", "{a: int 1, b: [string c]}"],
  ["a byte order mark", "\ufeffa: 1", "{a: int 1}"],
  ["an alias", "a: &x [1]\nb: *x", "{a: [int 1], b: [int 1]}"],
  [
    "merged keys, its own first",
    "a: &x {k: 1, l: 2}\nb: {l: 3, <<: *x}",
    "{a: {k: int 1, l: int 2}, b: {k: int 1, l: int 3}}",
  ],
  [
    "merged lists, the first first",
    "a: &x {k: 1}\nb: &y {k: 2}\nc: {<<: [*x, *y]}",
    "{a: {k: int 1}, b: {k: int 2}, c: {k: int 1}}",
  ],
  ["keys that are one in Python", "1: a\n1.0: b\ntrue: c", "{true: string c}"],
  ["keys that are two in Python", "1: a\n'1': b", "{1: string a, 1: string b}"],
  ["binary data", "a: !!binary aGk=", "{a: binary aGk}"],
])("%s", (_what, text, shown) => {
  expect(shownOf(text)).toBe(shown);
});

test.each([
  ["a tab as indentation", "a:\n\tb: 1", "a tab", 2, 1],
  ["an unclosed quote", 'a: "x\nb: 1\n', "this quote is never closed", 1, 4],
  ["an unclosed bracket", "a: [1, 2\nb: 3", "opened on line 1", 2, 2],
  ["wrong indentation", "a:\n    b: 1\n  c: 2", "is the indentation right?", 3, 3],
  ["a text where a key must be", "a: 1\nb\nc: 2", "a colon and a space must follow", 2, 1],
  ["an unknown alias", "a: *b", "not defined above", 1, 4],
  ["an anchor twice", "a: &x 1\nb: &x 2", "defined twice", 2, 4],
  ["an unknown tag", "a: !x 1", "not known", 1, 4],
  ["a day that is none", "a: 2023-02-29", "is not a timestamp", 1, 4],
  ["a list as a key", "[a]: 1", "cannot be a key", 1, 1],
  ["a second document", "a: 1\n---\nb: 2", "a second document", 2, 1],
  ["a control character", "a: 1\nb: \x07", "U+0007", 2, 4],
  ["a bad escape", 'a: "\\q"', "not an escape", 1, 6],
  ["a merge of no mapping", "a: {<<: 1}", "<< takes a mapping", 1, 9],
])("%s is refused where it stands", (_what, text, message, line, column) => {
  expect(readYaml(text)).toMatchObject({
    ok: false,
    message: expect.stringContaining(message),
    place: { line, column },
  });
});

test("places are those of the values, in UTF-16 units from 1", () => {
  const read = readYaml("😀: {k: [1,  x]}\n");
  if (!read.ok || read.value?.kind !== "map") throw new Error("not read");
  expect(read.value.entries[0]?.key).toMatchObject({ line: 1, column: 1 });
  const inner = read.value.entries[0]?.value;
  expect(inner).toMatchObject({ kind: "map", line: 1, column: 5 });
  const list = inner?.kind === "map" ? inner.entries[0]?.value : undefined;
  expect(list).toMatchObject({ items: [{ column: 10 }, { column: 14 }] });
});

test("a repeated key is told, a merged one is not", () => {
  const read = readYaml("a: 1\nb: &b {k: 1}\nc: {<<: *b, k: 2}\na: 2\n");
  if (!read.ok) throw new Error(read.message);
  expect(read.repeated).toEqual([
    {
      key: expect.objectContaining({ value: "a" }),
      first: expect.objectContaining({ line: 1 }),
      line: 4,
      column: 1,
    },
  ]);
});

function shownOf(text: string): string {
  const read = readYaml(text);
  if (!read.ok) return `refused: ${read.message}`;
  return read.value === undefined ? "nothing" : shown(read.value);
}

function shown(value: YamlValue): string {
  switch (value.kind) {
    case "null":
    case "set":
      return value.kind;
    case "list":
      return `[${value.items.map(shown).join(", ")}]`;
    case "map":
      return `{${value.entries.map(({ key, value: inner }) => `${key.kind === "null" ? "null" : key.value}: ${shown(inner)}`).join(", ")}}`;
    default:
      return `${value.kind} ${Object.is(value.value, -0) ? 0 : value.value}`;
  }
}
