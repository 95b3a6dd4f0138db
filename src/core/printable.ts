/**
 * Text as one line that a terminal, a log and a browser show as it is: control characters other than the tab (so also
 * the escape that begins every terminal sequence), line separators and characters that turn the direction of writing
 * are written out (`\n`, `\x1b`, `\u202e`).
 */
export function printable(text: string): string {
  return text.replace(unprintable, escaped);
}

/**
 * C0 and C1 controls without the tab, DEL, line and paragraph separators, bidirectional controls. Put together from
 * pieces because a pattern with control characters in it reads as a mistake.
 */
const unprintable = new RegExp(
  `[${["\\x00-\\x08", "\\x0a-\\x1f", "\\x7f-\\x9f", "\\u061c", "\\u200e\\u200f", "\\u2028-\\u202e", "\\u2066-\\u2069"].join("")}]`,
  "g",
);

function escaped(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\r") return "\\r";
  const code = character.charCodeAt(0);
  return code > 0xff
    ? `\\u${code.toString(16).padStart(4, "0")}`
    : `\\x${code.toString(16).padStart(2, "0")}`;
}
