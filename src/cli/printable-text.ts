import { printable } from "../core/printable.ts";

/** Text of several lines with its control characters escaped, line ends kept. */
export function printableText(text: string): string {
  return text
    .split("\n")
    .map((line) => printable(line))
    .join("\n");
}
