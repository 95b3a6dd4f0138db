import { randomBytes } from "node:crypto";

import { SecretValue } from "../core/secret-value.ts";
import type { AccessStore, AccessToken, AuditEntry, Scope } from "../ports/access-store.ts";
import { hashOfToken, newAccessToken } from "./access-tokens.ts";

/** What looks after a server that others use. The server and the HTTP client both satisfy it. */
export interface ServerAdmin {
  createToken(wanted: NewToken): Promise<CreatedToken>;
  /** Oldest first, expired ones too. */
  tokens(): Promise<readonly AccessToken[]>;
  /** From its next request on the token is refused, and what it follows ends. */
  revokeToken(id: string): Promise<{ readonly found: boolean }>;
  /** Newest first. */
  audit(filter: { readonly limit: number }): Promise<readonly AuditEntry[]>;
  /** The bytes of a whole copy of the store, taken beside the running server. The master key of the secrets is not in it. */
  backup(): AsyncIterable<Uint8Array>;
  /** Seals every secret anew, with a new master key. */
  rotateKey(): Promise<RotatedKey>;
}

export interface NewToken {
  /** For people: `ci of my-project`. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Undefined means that it never expires. */
  readonly expiresInSeconds: number | undefined;
}

export interface CreatedToken {
  readonly record: AccessToken;
  /** Nobody can get it a second time. */
  readonly token: SecretValue;
}

export interface RotatedKey {
  /** Versions of secrets that were sealed anew. */
  readonly secrets: number;
  /** Where the server keeps the former key, for backups from before. */
  readonly formerKeyFile: string;
}

export interface AdminParts extends Pick<ServerAdmin, "backup" | "rotateKey"> {
  readonly store: AccessStore;
  readonly now: () => Date;
}

export function createServerAdmin({ store, now, backup, rotateKey }: AdminParts): ServerAdmin {
  return {
    async createToken({ name, scopes, expiresInSeconds }) {
      const token = newAccessToken();
      const created = now();
      const record: AccessToken = {
        id: randomBytes(4).toString("hex"),
        name,
        scopes,
        createdAt: created.toISOString(),
        expiresAt:
          expiresInSeconds === undefined
            ? undefined
            : new Date(created.getTime() + expiresInSeconds * 1_000).toISOString(),
        lastUsedAt: undefined,
      };
      store.saveToken(record, hashOfToken(token));
      return { record, token: new SecretValue(token) };
    },
    tokens: async () => store.tokens(),
    revokeToken: async (id) => ({ found: store.removeToken(id) }),
    audit: async ({ limit }) => store.auditEntries(limit),
    backup,
    rotateKey,
  };
}

/** What can be done only on the machine that the server runs on. All fail with usage when commands go to another one. */
export interface ServerMachine {
  /**
   * Has systemd start the server with the machine and keep it running. Fails: already-exists (another unit of that name,
   * unless `force`), usage (the API may not listen there), not-allowed (the folder of the units may not be written to).
   */
  installUnit(wanted: WantedUnit): Promise<InstalledUnit>;
  /**
   * Looks at a backup before it is restored: `missingKeys` are the ids of the master keys that its secrets need and that are
   * not to be had here. Fails: not-found, store-damaged.
   */
  inspectBackup(backup: string): Promise<{ readonly missingKeys: readonly string[] }>;
  /**
   * Puts a backup in the place of the store, which is kept in the file `replaced` (undefined when there was none). The
   * server must have been stopped. Fails: not-found, store-damaged, already-exists (a server runs).
   */
  restore(backup: string): Promise<{ readonly replaced: string | undefined }>;
}

export interface WantedUnit {
  /** `user`: the user's own systemd, without root. `system`: the machine's. */
  readonly scope: "user" | "system";
  /** Where the API listens for other machines, `HOST:PORT`; undefined leaves it to the settings. */
  readonly listenApi: string | undefined;
  readonly force: boolean;
  /** Nothing is written. */
  readonly printOnly: boolean;
}

export interface InstalledUnit {
  readonly file: string;
  readonly text: string;
  /** False when it was there already, word for word, or was only to be printed. */
  readonly written: boolean;
}

/** Which server on another machine commands go to when nothing else says. */
export interface Logins {
  /** Asks the server, then keeps address and token. Fails: as any request to it, and usage. */
  login(wanted: WantedLogin): Promise<{ readonly url: string; readonly version: string | undefined }>;
  /** Returns the address that is forgotten; undefined when there was none. */
  logout(): Promise<string | undefined>;
}

export interface WantedLogin {
  readonly url: string;
  readonly token: SecretValue;
  /** Absolute; a file of certificates in PEM to trust besides the machine's own. */
  readonly caFile: string | undefined;
  /** Plain http to another machine is taken. */
  readonly insecureHttp: boolean;
}
