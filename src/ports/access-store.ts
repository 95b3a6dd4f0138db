/** Who may use the server, and who did what: in the same store as the runs. Durable on return. */

/** `read` looks; `deploy` also changes deployments, jobs, cronjobs and secrets; `admin` also tokens and the server itself. */
export type Scope = "read" | "deploy" | "admin" | "secrets:read";

export interface AccessToken {
  /** Public, for listing and revoking: 8 hex digits. */
  readonly id: string;
  /** For people: `ci of my-project`. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly createdAt: string;
  /** ISO 8601; undefined means never. */
  readonly expiresAt: string | undefined;
  readonly lastUsedAt: string | undefined;
}

/** One line of the audit log. Never a value of a secret, never a token. */
export interface AuditEntry {
  readonly at: string;
  /** A token's name and id, or `this machine`. */
  readonly who: string;
  /** Address it came from. */
  readonly from: string;
  /** `create secret`, `deploy`, `refused token`. */
  readonly what: string;
  /** On what: `secret prod/database`. */
  readonly on: string;
  /** `done`, or the failure's code. */
  readonly result: string;
}

export interface AccessReader {
  tokens(): readonly AccessToken[];
  /** Newest first. */
  auditEntries(limit: number): readonly AuditEntry[];
}

export interface AccessStore extends AccessReader {
  /** `hash`: SHA-256 of the token, in hex. */
  saveToken(token: AccessToken, hash: string): void;
  tokenOfHash(hash: string): AccessToken | undefined;
  touchToken(id: string, at: string): void;
  /** False when there was none. */
  removeToken(id: string): boolean;
  /** The newest 10,000 are kept. */
  addAuditEntry(entry: AuditEntry): void;
}
