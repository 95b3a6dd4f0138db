import type { SecretRows } from "../ports/secrets.ts";
import { formerKeyFileOf, nextKeyFileOf, openKeyFile, writeKeyFile } from "./key-file.ts";
import { type MasterKey, newMasterKey } from "./master-key.ts";
import { seal, unseal } from "./seal.ts";

/**
 * Puts a new master key in the place of the one in the key file, and seals every version anew. It may end at any point, by
 * a crash of the machine too: the new key is on disk before anything is sealed with it, and `openKeyFile` takes the one
 * that the secrets need. The former key is kept in a file beside it. Fails as `openKeyFile` and `unseal` do.
 */
export function rotateMasterKey(
  folder: string,
  rows: SecretRows,
): { readonly key: MasterKey; readonly formerKeyFile: string } {
  // The end of an earlier one comes first: its key must not be written over.
  const former = openKeyFile(folder, keyIdsOf(rows));
  const next = writeKeyFile(nextKeyFileOf(folder), newMasterKey());
  sealAnew(rows, former, next);
  const key = openKeyFile(folder, new Set([next.id]));
  return { key, formerKeyFile: formerKeyFileOf(folder, former.id) };
}

/** All in one transaction. */
export function sealAnew(rows: SecretRows, former: MasterKey, next: MasterKey): void {
  const anew = rows.sealedSecrets().map((secret) => ({
    ...secret,
    keyId: next.id,
    sealed: seal(next, secret, unseal(former, secret)),
  }));
  rows.replaceSealed(anew);
}

/** The keys that are needed: one, or none when there are no secrets. */
export function keyIdsOf(rows: SecretRows): ReadonlySet<string> {
  return new Set(rows.sealedSecrets().map(({ keyId }) => keyId));
}
