/** What a secret can't be called and can't hold, wherever it is kept. */

import { sanitisedName } from "./naming.ts";
import { printable } from "./printable.ts";
import type { SecretData } from "./secret-value.ts";

/** Characters of a name, as Kubernetes has it (RFC 1123 subdomain). */
const longestName = 253;
/** Bytes of a value; one variable may have 128 KiB on Linux. */
const mostBytes = 64 * 1024;
/** Keys of a secret: as many as anybody needs, and a list of secrets stays a list. */
const mostKeys = 1_000;

/** Why a secret can't be called that: a line for each reason. */
export function nameProblems(group: string, name: string): readonly string[] {
  const sanitised = sanitisedName(name);
  const problem =
    placeProblem(sanitised) ?? (/^-*$/.test(sanitised) ? "has no letter and no digit" : undefined);
  return [
    ...groupProblems(group),
    ...(problem === undefined ? [] : [`name ${JSON.stringify(name)}: ${problem}`]),
  ];
}

export function groupProblems(group: string): readonly string[] {
  const problem =
    placeProblem(group) ??
    (printable(group) !== group || group.includes("\t")
      ? "has characters that can't be printed"
      : undefined) ??
    (/[/\\]/.test(group) ? "has a slash" : undefined) ??
    (group.isWellFormed() ? undefined : "has half a character") ??
    (group === "__proto__" ? "is a name that JavaScript keeps for itself" : undefined) ??
    (group.trim() !== group ? "begins or ends with white space" : undefined);
  return problem === undefined ? [] : [`group ${JSON.stringify(group)}: ${problem}`];
}

/** Of what is a part of a path in the API. */
function placeProblem(name: string): string | undefined {
  if (name === "") return "is empty";
  if (name === "." || name === "..") return "is a place in a path";
  return name.length > longestName ? `is longer than ${longestName} characters` : undefined;
}

/** Why values can't be kept. `kept`: keys that are there already. No line has a value in it. */
export function dataProblems(data: SecretData, kept: readonly string[] = []): readonly string[] {
  const entries = Object.entries(data);
  if (entries.length === 0) return ["data: there is none"];
  const count = new Set([...kept, ...entries.map(([key]) => key)]).size;
  if (count > mostKeys) return [`data: these are ${count} keys, and ${mostKeys} is the most`];
  return entries.flatMap(([key, value]) => {
    const text = value.reveal();
    const problems = [
      ...(/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)
        ? []
        : ["is no name of an environment variable (letters, digits and _, no digit first)"]),
      ...(text === "" ? ["its value is empty"] : []),
      ...(text.includes("\0")
        ? ["its value has a NUL character, which no environment variable can have"]
        : []),
      ...(text.isWellFormed() ? [] : ["its value has half a character, which no text in UTF-8 can have"]),
      ...(Buffer.byteLength(text) > mostBytes ? [`its value is longer than ${mostBytes} bytes`] : []),
    ];
    return problems.map((problem) => `key ${JSON.stringify(key)}: ${problem}`);
  });
}
