import { Failure } from "../core/failure.ts";
import { sanitisedName } from "../core/naming.ts";
import { printable } from "../core/printable.ts";
import type { SecretData } from "../core/secret-value.ts";
import type { SecretReader, Secrets } from "../ports/secrets.ts";
import type { RevealedSecret, SecretActions } from "./operations.ts";

/**
 * The verbs for secrets. Names are sanitised, as those of stages are; groups are taken as they are, or refused. `sweep`
 * removes versions that nothing needs: what was deleted or replaced should not be kept for longer.
 */
export function createSecretActions(
  secrets: Secrets,
  reader: SecretReader,
  sweep: () => void,
): SecretActions {
  return {
    async createSecret(group, name, data) {
      refuseProblems("create", group, name, [...nameProblems(group, name), ...dataProblems(data)]);
      return secrets.create(group, sanitisedName(name), data);
    },
    async updateSecret(group, name, data) {
      const keys = reader.secrets({ group, name: sanitisedName(name) }).flatMap((secret) => secret.keys);
      refuseProblems("update", group, name, [...nameProblems(group, name), ...dataProblems(data, keys)]);
      const updated = secrets.update(group, sanitisedName(name), data);
      sweep();
      return updated;
    },
    async deleteSecret(group, name) {
      refuseProblems("delete", group, name, nameProblems(group, name));
      const found = secrets.remove(group, sanitisedName(name));
      if (found) sweep();
      return { found };
    },
    async deleteSecretGroup(group) {
      refuse(`Cannot delete the secrets of group=${group}.`, groupProblems(group));
      const names = reader.secrets({ group }).map(({ name }) => name);
      const removed = names.filter((name) => secrets.remove(group, name));
      if (removed.length > 0) sweep();
      return removed;
    },
    async readSecrets({ group, name }) {
      const found = reader.secrets({ group, name: name === undefined ? undefined : sanitisedName(name) });
      return found.flatMap((summary): RevealedSecret[] => {
        const data = secrets.read(summary.group, summary.name);
        return data === undefined ? [] : [{ ...summary, data }];
      });
    },
  };
}

/** Characters of a name, as Kubernetes has it (RFC 1123 subdomain). */
const longestName = 253;
/** Bytes of a value; one variable may have 128 KiB on Linux. */
const mostBytes = 64 * 1024;
/** Keys of a secret: as many as anybody needs, and a list of secrets stays a list. */
const mostKeys = 1_000;

function refuseProblems(verb: string, group: string, name: string, problems: readonly string[]): void {
  refuse(`Cannot ${verb} secret=${name} in group=${group}.`, problems);
}

function refuse(cannot: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new Failure("usage", cannot, { details: problems });
}

function nameProblems(group: string, name: string): readonly string[] {
  const sanitised = sanitisedName(name);
  const problem =
    placeProblem(sanitised) ?? (/^-*$/.test(sanitised) ? "has no letter and no digit" : undefined);
  return [
    ...groupProblems(group),
    ...(problem === undefined ? [] : [`name ${JSON.stringify(name)}: ${problem}`]),
  ];
}

function groupProblems(group: string): readonly string[] {
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

/** `kept`: keys that are there already. */
function dataProblems(data: SecretData, kept: readonly string[] = []): readonly string[] {
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
