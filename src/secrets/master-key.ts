import { createHash, createSecretKey, type KeyObject, randomBytes } from "node:crypto";

import { Failure } from "../core/failure.ts";

/** The key that seals all secrets: 256 bits, which neither a dump nor JSON shows. */
export interface MasterKey {
  /** The first 8 hexadecimal digits of its SHA-256; what it has sealed is kept with that. */
  readonly id: string;
  readonly key: KeyObject;
}

const keyBytes = 32;

export function newMasterKey(): MasterKey {
  return masterKeyOf(randomBytes(keyBytes));
}

/** A key as text: 64 hexadecimal digits, or 32 bytes in base64. `from` says where it is from. Fails: secret-key. */
export function parseMasterKey(text: string, from: string): MasterKey {
  const trimmed = text.trim();
  if (/^[0-9A-Fa-f]{64}$/.test(trimmed)) return masterKeyOf(Buffer.from(trimmed, "hex"));
  if (/^[A-Za-z0-9+/]{43}=?$/.test(trimmed)) return masterKeyOf(Buffer.from(trimmed, "base64"));
  throw new Failure(
    "secret-key",
    `Cannot use the master key of the secrets that ${from} gives: it is no key.`,
    {
      hint: "A key is 64 hexadecimal digits, or 32 bytes in base64: openssl rand -hex 32",
    },
  );
}

/** 64 hexadecimal digits. */
export function masterKeyText({ key }: MasterKey): string {
  return key.export().toString("hex");
}

function masterKeyOf(bytes: Buffer): MasterKey {
  return {
    id: createHash("sha256").update(bytes).digest("hex").slice(0, 8),
    key: createSecretKey(bytes),
  };
}
