import { Failure } from "../../src/core/failure.ts";
import type { SecretSummary } from "../../src/core/secret-state.ts";
import { type SecretData, SecretValue } from "../../src/core/secret-value.ts";
import type { SecretReader, Secrets } from "../../src/ports/secrets.ts";

export interface FakeSecrets extends Secrets, SecretReader {
  /** Creates or updates a secret, of plain texts. */
  set(group: string, name: string, data: Readonly<Record<string, string>>): SecretSummary;
}

interface Version {
  readonly summary: SecretSummary;
  readonly data: SecretData;
  current: boolean;
}

/** Secrets in memory, in clear. */
export function fakeSecrets(): FakeSecrets {
  let versions: Version[] = [];
  const of = (group: string, name: string): readonly Version[] =>
    versions.filter(({ summary }) => summary.group === group && summary.name === name);
  const current = (group: string, name: string): Version | undefined =>
    of(group, name).find((version) => version.current);
  const add = (group: string, name: string, data: SecretData): SecretSummary => {
    for (const version of of(group, name)) version.current = false;
    const at = "2026-11-23T19:00:00.000Z";
    const number = 1 + Math.max(0, ...of(group, name).map(({ summary }) => summary.version));
    const summary = {
      ...{ group, name, version: number, createdAt: at, updatedAt: at },
      keys: Object.keys(data).toSorted(),
    };
    versions.push({ summary, data, current: true });
    return summary;
  };
  const secrets: FakeSecrets = {
    create(group, name, data) {
      if (current(group, name) !== undefined) throw new Failure("already-exists", `There is a ${name}.`);
      return add(group, name, data);
    },
    update(group, name, data) {
      const before = current(group, name);
      if (before === undefined) throw new Failure("not-found", `There is no ${name}.`);
      return add(group, name, { ...before.data, ...data });
    },
    remove(group, name) {
      const found = current(group, name);
      if (found !== undefined) found.current = false;
      return found !== undefined;
    },
    read: (group, name) => current(group, name)?.data,
    reveal({ group, name, version, key }) {
      const value = of(group, name).find(({ summary }) => summary.version === version)?.data[key];
      if (value === undefined) throw new Failure("secret-missing", `${name} has no version ${version}.`);
      return value;
    },
    sweep(inUse) {
      versions = versions.filter(
        (version) =>
          version.current ||
          inUse.some(
            ({ group, name, version: number }) =>
              version.summary.group === group &&
              version.summary.name === name &&
              version.summary.version === number,
          ),
      );
    },
    secrets: ({ group, name }) =>
      versions
        .filter(
          (version) =>
            version.current &&
            (group === undefined || version.summary.group === group) &&
            (name === undefined || version.summary.name === name),
        )
        .map(({ summary }) => summary),
    set(group, name, data) {
      const values = Object.fromEntries(
        Object.entries(data).map(([key, value]) => [key, new SecretValue(value)]),
      );
      return current(group, name) === undefined
        ? secrets.create(group, name, values)
        : secrets.update(group, name, values);
    },
  };
  return secrets;
}
