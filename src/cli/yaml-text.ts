import { stringify } from "yaml";
import { escapeUnprintable } from "./printable-text.ts";

/** A record as YAML with the keys of its JSON, without anchors and wrapped lines; whole lines. */
export function yamlText(record: unknown): string {
  const plain: unknown = JSON.parse(JSON.stringify(record));
  const text = stringify(plain, { lineWidth: 0 });
  if (escapeUnprintable(text) === text) return text;
  // Only a string in double quotes can name a character instead of holding it.
  return escapeUnprintable(stringify(plain, { lineWidth: 0, defaultStringType: "QUOTE_DOUBLE" }));
}
