import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

import { Failure } from "../core/failure.ts";
import type { SecretVersion } from "../core/secret-state.ts";
import { concealed, revealed, type SecretData } from "../core/secret-value.ts";
import type { SealedSecret } from "../ports/secrets.ts";
import type { MasterKey } from "./master-key.ts";

const cipher = "aes-256-gcm";
/** The first byte of what is sealed: how the rest is to be read. */
const format = 1;
/** Bytes: of the nonce, which is random, and of the tag (NIST SP 800-38D). */
const nonceLength = 12;
const tagLength = 16;

/**
 * The values of one version of a secret, in AES-256-GCM. Whose they are is part of what is authenticated: moved to another
 * group, name or version they can't be opened.
 */
export function seal({ key }: MasterKey, of: SecretVersion, data: SecretData): Uint8Array {
  const nonce = randomBytes(nonceLength);
  const cipherer = createCipheriv(cipher, key, nonce, { authTagLength: tagLength });
  cipherer.setAAD(associatedData(of));
  const text = Buffer.concat([cipherer.update(JSON.stringify(revealed(data)), "utf8"), cipherer.final()]);
  return Buffer.concat([Buffer.of(format), nonce, cipherer.getAuthTag(), text]);
}

/** Fails: secret-key (another key sealed it), store-damaged (it is not what was sealed). */
export function unseal({ id, key }: MasterKey, secret: SealedSecret): SecretData {
  const { group, name, version, keyId } = secret;
  const cannot = `Cannot open version ${version} of the secret "${name}" in group "${group}"`;
  if (keyId !== id) {
    throw new Failure(
      "secret-key",
      `${cannot}: it was sealed with the master key ${keyId}, and this one is ${id}.`,
      {
        hint: "Bring the former key back, or create the secret anew.",
      },
    );
  }
  const text = openedText(key, secret);
  if (text === undefined) {
    throw new Failure(
      "store-damaged",
      `${cannot}: what the store has of it is damaged, or belongs to another one.`,
      {
        hint: "Create the secret anew, or bring a backup of the store back.",
      },
    );
  }
  return concealed(JSON.parse(text) as Record<string, string>);
}

function openedText(key: MasterKey["key"], secret: SealedSecret): string | undefined {
  const { sealed } = secret;
  const start = 1 + nonceLength + tagLength;
  if (sealed[0] !== format || sealed.length < start) return undefined;
  const decipherer = createDecipheriv(cipher, key, sealed.subarray(1, 1 + nonceLength), {
    authTagLength: tagLength,
  });
  decipherer.setAAD(associatedData(secret));
  decipherer.setAuthTag(sealed.subarray(1 + nonceLength, start));
  try {
    return Buffer.concat([decipherer.update(sealed.subarray(start)), decipherer.final()]).toString("utf8");
  } catch {
    return undefined;
  }
}

/** As a list of JSON: one text for each group, name and version, whatever characters they have. */
function associatedData({ group, name, version }: SecretVersion): Buffer {
  return Buffer.from(JSON.stringify(["v1", group, name, version]));
}
