/** Secrets: sealed where they are kept, in clear only for who is allowed. */

import type { SecretReference, SecretSummary, SecretVersion } from "../core/secret-state.ts";
import type { SecretData, SecretValue } from "../core/secret-value.ts";

/** Only the secrets room implements it. All calls are synchronous and durable on return. */
export interface Secrets {
  /** Fails: already-exists. */
  create(group: string, name: string, data: SecretData): SecretSummary;
  /** A new version: keys that are not given stay as they are. Fails: not-found. */
  update(group: string, name: string, data: SecretData): SecretSummary;
  /** False when there was none. What is live keeps its version until it goes. */
  remove(group: string, name: string): boolean;
  /** The newest version's data; undefined when there is no such secret. Fails: store-damaged, secret-key (the master key is wrong or not there); so does `reveal`. */
  read(group: string, name: string): SecretData | undefined;
  /** The value of a version that is kept. Fails: secret-missing too. */
  reveal(reference: SecretReference): SecretValue;
  /** Removes versions that are neither the newest nor in use. */
  sweep(inUse: readonly SecretVersion[]): void;
}

/** One sealed version of a secret, as the store keeps it. */
export interface SealedSecret extends SecretSummary {
  /** False for a version that was replaced or deleted and is kept for what is live. */
  readonly current: boolean;
  /** Which master key sealed it. */
  readonly keyId: string;
  readonly sealed: Uint8Array;
}

/** What looks at secrets without a key. */
export interface SecretReader {
  /** Newest versions, by group and name. */
  secrets(filter: {
    readonly group?: string | undefined;
    readonly name?: string | undefined;
  }): readonly SecretSummary[];
}

/** The store's part. Only the secrets room uses it. */
export interface SecretRows extends SecretReader {
  sealedSecret(group: string, name: string, version?: number): SealedSecret | undefined;
  sealedSecrets(): readonly SealedSecret[];
  /** Becomes the current version, in one step with the end of the one before. */
  saveSecret(secret: SealedSecret): void;
  /** No version is current any more; false when none was. */
  retireSecret(group: string, name: string): boolean;
  removeSecretVersions(versions: readonly SecretVersion[]): void;
  /** Every version sealed anew, all in one transaction. */
  replaceSealed(secrets: readonly SealedSecret[]): void;
}

/** A secret on its way from one machine to another. */
export interface CarriedSecret {
  readonly group: string;
  readonly name: string;
  readonly data: SecretData;
}

/** What opens a file of secrets: a passphrase, or the private keys of age (`AGE-SECRET-KEY-1…`). */
export type FileKeys = { readonly passphrase: SecretValue } | { readonly identities: readonly SecretValue[] };

/** Files of secrets, encrypted with age (https://age-encryption.org/v1). */
export interface SecretFiles {
  /** `armor`: as lines of text. Fails: usage (a recipient that is none). */
  write(
    secrets: readonly CarriedSecret[],
    to: { readonly passphrase: SecretValue } | { readonly recipients: readonly string[] },
    armor: boolean,
  ): Promise<Uint8Array>;
  /** Fails: usage (it is no such file, or these keys don't open it). */
  read(file: Uint8Array, keys: FileKeys): Promise<readonly CarriedSecret[]>;
}
