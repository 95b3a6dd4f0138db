import { Failure } from "../core/failure.ts";
import type { SecretSummary, SecretVersion } from "../core/secret-state.ts";
import type { SecretData } from "../core/secret-value.ts";
import type { Clock } from "../ports/clock.ts";
import type { SealedSecret, SecretRows, Secrets } from "../ports/secrets.ts";
import type { MasterKey } from "./master-key.ts";
import { seal, unseal } from "./seal.ts";

export interface SecretsParts {
  readonly rows: SecretRows;
  /** The one in use; throws when there is none that fits. */
  readonly key: () => MasterKey;
  readonly clock: Pick<Clock, "now">;
}

/** Secrets in the store, sealed with the master key. */
export function createSecrets({ rows, key, clock }: SecretsParts): Secrets {
  return {
    create(group, name, data) {
      if (rows.sealedSecret(group, name) !== undefined) {
        throw new Failure(
          "already-exists",
          `Cannot create secret=${name} in group=${group} as it already exists.`,
          {
            hint: "To change it: bodywork update secret",
          },
        );
      }
      return save(group, name, data, clock.now().toISOString());
    },
    update(group, name, data) {
      const before = rows.sealedSecret(group, name);
      if (before === undefined) {
        throw new Failure("not-found", `Could not find secret=${name} in group=${group}`, {
          hint: "To create it: bodywork create secret",
        });
      }
      return save(group, name, { ...openSecret(group, name), ...data }, before.createdAt);
    },
    remove: (group, name) => rows.retireSecret(group, name),
    read: openSecret,
    reveal({ group, name, version, key: wanted }) {
      const data = openSecret(group, name, version) ?? {};
      const value = Object.hasOwn(data, wanted) ? data[wanted] : undefined;
      if (value !== undefined) return value;
      throw new Failure(
        "secret-missing",
        `Cannot find the key "${wanted}" in version ${version} of the secret "${name}" in group "${group}".`,
        { hint: "Create or update the secret, and deploy again." },
      );
    },
    sweep(inUse) {
      const used = new Set(inUse.map(identity));
      const unused = rows.sealedSecrets().filter((secret) => !secret.current && !used.has(identity(secret)));
      if (unused.length > 0) rows.removeSecretVersions(unused);
    },
  };

  /** The key is asked for only when there is something to open; then all may be sealed anew, with one that is found again. */
  function openSecret(group: string, name: string, version?: number): SecretData | undefined {
    if (rows.sealedSecret(group, name, version) === undefined) return undefined;
    const master = key();
    const secret = rows.sealedSecret(group, name, version);
    return secret === undefined ? undefined : unseal(master, secret);
  }

  function save(group: string, name: string, data: SecretData, createdAt: string): SecretSummary {
    const master = key();
    const all = rows.sealedSecrets();
    refuseSecondKey(all, master);
    const kept = all.filter((secret) => secret.group === group && secret.name === name);
    const summary: SecretSummary = {
      group,
      name,
      // After every one that is kept: what is live may still use a version of a secret that was deleted.
      version: 1 + Math.max(0, ...kept.map(({ version }) => version)),
      keys: Object.keys(data).toSorted(),
      createdAt,
      updatedAt: clock.now().toISOString(),
    };
    const secret: SealedSecret = {
      ...summary,
      current: true,
      keyId: master.id,
      sealed: seal(master, summary, data),
    };
    rows.saveSecret(secret);
    return summary;
  }
}

/** What is sealed with two keys could be lost by half, with one of them. */
function refuseSecondKey(all: readonly SealedSecret[], { id }: MasterKey): void {
  const other = all.find(({ keyId }) => keyId !== id);
  if (other === undefined) return;
  throw new Failure(
    "secret-key",
    `Cannot seal a secret with the master key ${id}: others are sealed with ${other.keyId}.`,
    { hint: "Start the server again: it settles which key is in use." },
  );
}

function identity({ group, name, version }: SecretVersion): string {
  return JSON.stringify([group, name, version]);
}
