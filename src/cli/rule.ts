import type { CliStream } from "./cli-io.ts";
import { printableText } from "./printable-text.ts";

/** A line of `=` with a title in its middle; as wide as the terminal, 80 columns elsewhere. Never cuts the title. */
export function rule(stream: CliStream, columns: number | undefined, title = ""): string {
  const width = stream.isTerminal && columns !== undefined ? columns : 80;
  const text = title === "" ? "" : ` ${printableText(title)} `;
  const left = Math.max(3, Math.floor((width - text.length) / 2));
  const right = Math.max(3, width - text.length - left);
  return `${"=".repeat(left)}${text}${"=".repeat(right)}\n`;
}
