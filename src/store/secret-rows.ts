import type { SecretSummary } from "../core/secret-state.ts";
import type { SealedSecret, SecretRows } from "../ports/secrets.ts";
import { documentText } from "./document-text.ts";
import type { Rows } from "./rows.ts";

export function createSecretRows({ write, rows, all, parse, together, execute }: Rows): SecretRows {
  const sealedWhere = (where: string, ...values: (string | number)[]): SealedSecret[] =>
    rows<SecretRow>(`SELECT current, key_id, sealed, document FROM secrets ${where}`, ...values).map(
      ({ current, key_id, sealed, document }) => ({
        ...parse<SecretSummary>(document),
        current: current === 1,
        keyId: key_id,
        sealed,
      }),
    );
  return {
    secrets: ({ group, name }) =>
      all<SecretSummary>(
        `SELECT document FROM secrets WHERE current = 1 AND group_name = coalesce(?, group_name)
         AND name = coalesce(?, name) ORDER BY group_name, name`,
        group ?? null,
        name ?? null,
      ),
    sealedSecret: (group, name, version) =>
      version === undefined
        ? sealedWhere("WHERE group_name = ? AND name = ? AND current = 1", group, name)[0]
        : sealedWhere("WHERE group_name = ? AND name = ? AND version = ?", group, name, version)[0],
    sealedSecrets: () => sealedWhere("ORDER BY group_name, name, version"),

    saveSecret: (secret) =>
      together(() => {
        retire(secret.group, secret.name);
        write(
          `INSERT INTO secrets (group_name, name, version, current, key_id, sealed, document)
           VALUES (?, ?, ?, 1, ?, ?, ?)`,
          secret.group,
          secret.name,
          secret.version,
          secret.keyId,
          secret.sealed,
          documentText(summaryOf(secret)),
        );
      }),
    retireSecret: (group, name) => retire(group, name) > 0,
    removeSecretVersions(versions) {
      if (versions.length === 0) return;
      together(() => {
        for (const { group, name, version } of versions) {
          write(
            "DELETE FROM secrets WHERE group_name = ? AND name = ? AND version = ?",
            group,
            name,
            version,
          );
        }
      });
      forgetLog();
    },
    replaceSealed(secrets) {
      together(() => secrets.forEach(replaceOne));
      forgetLog();
    },
  };

  /** What was there before is in the log until that is emptied; a reader may hold it up until the next time. */
  function forgetLog(): void {
    execute("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  function retire(group: string, name: string): number {
    return write(
      "UPDATE secrets SET current = 0 WHERE group_name = ? AND name = ? AND current = 1",
      group,
      name,
    );
  }

  function replaceOne({ group, name, version, keyId, sealed }: SealedSecret): void {
    const changed = write(
      "UPDATE secrets SET key_id = ?, sealed = ? WHERE group_name = ? AND name = ? AND version = ?",
      keyId,
      sealed,
      group,
      name,
      version,
    );
    if (changed === 0) throw new Error(`There is no version ${version} of the secret ${group}/${name}`);
  }
}

interface SecretRow {
  readonly current: number;
  readonly key_id: string;
  readonly sealed: Uint8Array;
  readonly document: string;
}

/** What anybody may know of it, and nothing more. */
function summaryOf({ group, name, version, keys, createdAt, updatedAt }: SealedSecret): SecretSummary {
  return { group, name, version, keys, createdAt, updatedAt };
}
