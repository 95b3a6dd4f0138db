import { printable } from "../core/printable.ts";

/** Text of several lines with its control characters escaped, line ends kept. */
export function printableText(text: string): string {
  return text
    .split("\n")
    .map((line) => printable(line))
    .join("\n");
}

/** The same for text of JSON, and of YAML in double quotes, where such a character is written as `\\u001b`. */
export function escapeUnprintable(text: string): string {
  return text.replace(/[^\P{Cc}\t\n]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
