import { timingSafeEqual } from "node:crypto";
import { isIPv6 } from "node:net";

import { Failure } from "../core/failure.ts";
import { hashOfToken } from "../operations/access-tokens.ts";
import type { AccessStore, AccessToken, Scope } from "../ports/access-store.ts";
import { createTryLimit } from "./try-limit.ts";

/** Whoever bears a token that is right. */
export interface Caller {
  /** As in the audit log. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** False once the token has expired or was revoked. */
  stillKnown(): boolean;
}

export type Judgement =
  | { readonly kind: "known"; readonly caller: Caller }
  /** `told`: it is one of the first of its address, and goes into the audit log. */
  | {
      readonly kind: "refused";
      readonly status: 401 | 429;
      readonly failure: Failure;
      readonly told: boolean;
    };

export interface AccessParts {
  readonly store: Pick<AccessStore, "tokenOfHash" | "touchToken">;
  /** Of this machine's own commands, in a file that only the user can read: it may do everything. */
  readonly localToken: string;
  readonly now: () => Date;
}

export interface Access {
  /** Of the `Authorization` header of a request, and the address it comes from. */
  judge(authorization: string | undefined, from: string): Judgement;
}

/** Wrong tokens an address may try in a minute before it is not told any more that they are wrong. */
const mostTries = 10;
/** Of all addresses together, so that nobody fills the audit log. */
const mostTriesOfAll = 100;
const minute = 60_000;

const everything: readonly Scope[] = ["admin", "secrets:read"];

/**
 * Knows who bears which token. A right token is right from every address, whatever wrong ones came from there: nobody shuts
 * out those who share an address with him, and 256 random bits are not found by trying.
 */
export function createAccess({ store, localToken, now }: AccessParts): Access {
  const local = digest(localToken);
  const limitOf = (most: number) =>
    createTryLimit({ most, milliseconds: minute, now: () => now().getTime() });
  const [triesOfAddress, triesOfAll] = [limitOf(mostTries), limitOf(mostTriesOfAll)];

  const knownToken = (hash: string): AccessToken | undefined => {
    const token = store.tokenOfHash(hash);
    return token === undefined || isExpired(token, now()) ? undefined : token;
  };
  const callerOf = (given: string): Caller | undefined => {
    if (timingSafeEqual(digest(given), local)) {
      return { name: "this machine", scopes: everything, stillKnown: () => true };
    }
    // Looked for by its hash: how long that takes says nothing of the tokens that there are.
    const hash = hashOfToken(given);
    const token = knownToken(hash);
    if (token === undefined) return undefined;
    touch(token);
    const { id, name, scopes } = token;
    return { name: `${name} (${id})`, scopes, stillKnown: () => knownToken(hash) !== undefined };
  };
  const touch = ({ id, lastUsedAt }: AccessToken): void => {
    if (lastUsedAt !== undefined && now().getTime() - Date.parse(lastUsedAt) < minute) return;
    try {
      store.touchToken(id, now().toISOString());
    } catch {} // A full disk must not keep out who comes to make room.
  };

  return {
    judge(authorization, from) {
      const given = /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
      if (given === undefined) return refused(401, "The request has no token.", false);
      const caller = callerOf(given);
      if (caller !== undefined) return { kind: "known", caller };
      if (!triesOfAddress.take(networkOf(from)) || !triesOfAll.take("")) {
        return refused(429, "Too many wrong tokens came from this address.", false);
      }
      return refused(401, "The token is wrong, has expired or was revoked.", true);
    },
  };
}

function refused(status: 401 | 429, message: string, told: boolean): Judgement {
  const failure =
    status === 401
      ? new Failure("not-allowed", message, { hint: "Make one on the server: bodywork server token create" })
      : new Failure("too-many-requests", message, { hint: "Wait a minute." });
  return { kind: "refused", status, failure, told };
}

function isExpired({ expiresAt }: AccessToken, now: Date): boolean {
  return expiresAt !== undefined && Date.parse(expiresAt) <= now.getTime();
}

/** Who has one IPv6 address has 2^64 of them: they count as one. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = "", tail = ""] = address.split("%")[0]?.split("::") ?? [];
  const groups = head.split(":").filter(Boolean);
  const rest = tail.split(":").filter(Boolean);
  const zeros = Array<string>(Math.max(0, 8 - groups.length - rest.length)).fill("0");
  return [...groups, ...zeros, ...rest].slice(0, 4).join(":");
}

function digest(text: string): Buffer {
  return Buffer.from(hashOfToken(text), "hex");
}
