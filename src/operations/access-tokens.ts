import { createHash, randomBytes } from "node:crypto";

import type { Scope } from "../ports/access-store.ts";

const order: readonly Scope[] = ["read", "deploy", "admin"];

/**
 * Whether scopes let one do what needs `wanted`: of read, deploy and admin each includes those before it; `secrets:read` is
 * included in none.
 */
export function allows(scopes: readonly Scope[], wanted: Scope): boolean {
  if (wanted === "secrets:read") return scopes.includes(wanted);
  return scopes.some((scope) => order.indexOf(scope) >= order.indexOf(wanted));
}

/** 256 random bits behind `bw_`, by which a scanner of repositories can know one that leaked. */
export function newAccessToken(): string {
  return `bw_${randomBytes(32).toString("base64url")}`;
}

/** SHA-256 in hex: all that is stored. A slow hash is for passwords; nobody guesses 256 random bits. */
export function hashOfToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
