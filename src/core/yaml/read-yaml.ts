import { composeDocument } from "./nodes.ts";
import { type Place, YamlRefusal, yamlLimits } from "./problem.ts";
import { buildValues, type RepeatedKey, type YamlValue } from "./values.ts";

export type ReadYaml =
  | { readonly ok: true; readonly value: YamlValue | undefined; readonly repeated: readonly RepeatedKey[] }
  | {
      readonly ok: false;
      readonly code: "yaml-syntax" | "yaml-limit" | "yaml-encoding";
      readonly message: string;
      readonly place: Place | undefined;
    };

/**
 * Reads one YAML 1.1 document as the Python world does (PyYAML's safe loader on a text file in UTF-8).
 * `value` is undefined when the text holds no document. Never throws, and takes well under a second for any input.
 */
export function readYaml(input: Uint8Array | string): ReadYaml {
  if (input.length > yamlLimits.bytes) {
    return refusal("yaml-limit", `the file has more than ${yamlLimits.bytes / 1024 / 1024} MiB`, undefined);
  }
  const text = typeof input === "string" ? input : decode(input);
  if (text === undefined) return refusal("yaml-encoding", encodingProblem(input), { line: 1, column: 1 });
  const strange = firstStrangeCharacter(text);
  if (strange !== undefined) return strange;
  try {
    const root = composeDocument(text);
    if (root === undefined) return { ok: true, value: undefined, repeated: [] };
    return { ok: true, ...buildValues(root) };
  } catch (error) {
    if (error instanceof YamlRefusal) return refusal(error.code, error.message, error.place);
    throw error;
  }
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function encodingProblem(bytes: Uint8Array | string): string {
  const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  return isUtf16 ? "the file is in UTF-16; save it as UTF-8" : "the file is not in UTF-8";
}

function firstStrangeCharacter(text: string): ReadYaml | undefined {
  const found = notYaml.exec(text);
  if (found === null) return undefined;
  const before = text.slice(0, found.index).split(/\r\n|[\r\n\x85\u2028\u2029]/);
  const code = found[0].codePointAt(0) ?? 0;
  const name = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  const place = { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
  return refusal("yaml-syntax", `the character ${name} cannot stand in YAML`, place);
}

/** Built from a string because a pattern with control characters in it reads as a mistake. */
const notYaml = /[^\t\n\r\x20-\x7E\x85\xA0-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u;

function refusal(
  code: "yaml-syntax" | "yaml-limit" | "yaml-encoding",
  message: string,
  place: Place | undefined,
): ReadYaml {
  return { ok: false, code, message, place };
}
