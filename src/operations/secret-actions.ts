import { Failure } from "../core/failure.ts";
import { sanitisedName } from "../core/naming.ts";
import { dataProblems, groupProblems, nameProblems } from "../core/secret-problems.ts";
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

function refuseProblems(verb: string, group: string, name: string, problems: readonly string[]): void {
  refuse(`Cannot ${verb} secret=${name} in group=${group}.`, problems);
}

function refuse(cannot: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new Failure("usage", cannot, { details: problems });
}
