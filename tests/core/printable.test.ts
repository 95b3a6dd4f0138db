import { expect, test } from "vitest";
import { printable } from "../../src/core/printable.ts";

test("every control character but the tab is written out", () => {
  const codes = Array.from({ length: 0xa0 }, (_, code) => code).filter((code) => code < 0x20 || code >= 0x7f);
  for (const code of codes) {
    const shown = printable(`a${String.fromCharCode(code)}b`);
    expect(shown, `U+${code.toString(16)}`).toMatch(code === 9 ? /^a\tb$/ : /^a\\(?:n|r|x[0-9a-f]{2})b$/);
  }
});

test("terminal sequences become text: titles, the clipboard, colours, device control", () => {
  expect(printable("\x1b]52;c;aGk=\x07")).toBe("\\x1b]52;c;aGk=\\x07");
  expect(printable("\x1b[31mred\x9b0m\x1bP1q")).toBe("\\x1b[31mred\\x9b0m\\x1bP1q");
});

test("a text stays one line, also where only some programs break lines", () => {
  expect(printable("a\r\nb\u2028c\u2029d")).toBe("a\\r\\nb\\u2028c\\u2029d");
});

test("characters that turn the direction of writing are written out", () => {
  for (const turn of "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") {
    expect(printable(`x${turn}y`)).toBe(`x\\u${turn.charCodeAt(0).toString(16).padStart(4, "0")}y`);
  }
});

test("everything else is left alone", () => {
  const text = "Zug [1/2] 50 % – déjà vu, 模型, 😀, עברית, \ta\\nb";
  expect(printable(text)).toBe(text);
});
