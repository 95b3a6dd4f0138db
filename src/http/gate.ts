import type { IncomingHttpHeaders } from "node:http";

import { Failure } from "../core/failure.ts";
import { allows } from "../operations/access-tokens.ts";
import type { Scope } from "../ports/access-store.ts";
import type { Access, Caller } from "./access.ts";
import { hostOf, isCrossOrigin, isOurHost } from "./admission.ts";
import { failureStatus } from "./failure-response.ts";
import { versionHeader, versionMismatch, worksWith } from "./version-rule.ts";

/** A request before its body is read. */
export interface GateRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly from: string;
  /** What its route needs; `anyone` asks for no token; undefined when there is no such route. */
  readonly scope: Scope | "anyone" | undefined;
}

export type Admission =
  /** Without a caller where anyone may ask and nobody said who. */
  | { readonly kind: "in"; readonly caller: Caller | undefined }
  | {
      readonly kind: "refused";
      readonly status: number;
      readonly failure: Failure;
      /** Whose token it was, as far as the audit log is to tell of it. */
      readonly told: string | undefined;
    };

export interface GateParts {
  readonly access: Access;
  /** Names besides loopback's by which it is called, as of `hostOf`. */
  readonly hosts: readonly string[];
  readonly version: string;
  /** True until what an earlier server left is taken up. */
  readonly starting: () => boolean;
}

/** Decides who is let in, in this order: by what name, from which site, who, what for. */
export function createGate({
  access,
  hosts,
  version,
  starting,
}: GateParts): (request: GateRequest) => Admission {
  return ({ method, headers, from, scope }) => {
    const { host, origin, authorization } = headers;
    const fetchSite = headers["sec-fetch-site"]?.toString();
    if (!isOurHost(host, hosts)) return refused(notOurs(host), 421);
    if (isCrossOrigin({ method, host, origin, fetchSite })) {
      return refused(new Failure("not-allowed", "The request comes from another site."));
    }
    if (scope === "anyone" && authorization === undefined) return { kind: "in", caller: undefined };
    const judged = access.judge(authorization, from);
    if (judged.kind === "refused") {
      return refused(judged.failure, judged.status, judged.told ? "unknown" : undefined);
    }
    const { caller } = judged;
    const client = headers[versionHeader]?.toString() ?? version;
    if (!worksWith(client, version)) {
      return refused(versionMismatch("The server", { client, server: version }));
    }
    if (scope === undefined || scope === "anyone") return { kind: "in", caller };
    if (!allows(caller.scopes, scope)) return refused(tooLittle(caller, scope), 403, caller.name);
    if (starting()) return refused(new Failure("server-unreachable", "The server is starting."));
    return { kind: "in", caller };
  };
}

function refused(failure: Failure, status = failureStatus(failure), told?: string): Admission {
  return { kind: "refused", status, failure, told };
}

function notOurs(host: string | undefined): Failure {
  return new Failure("usage", `This server is not called "${hostOf(host)}".`, {
    hint: "If it is, add the name to api.hosts in its settings.yaml.",
  });
}

function tooLittle({ name, scopes }: Caller, scope: Scope): Failure {
  return new Failure("not-allowed", `This needs the scope ${scope}; ${name} has ${scopes.join(", ")}.`, {
    hint: `An administrator of the server makes one: bodywork server token create NAME ${
      scope === "secrets:read" ? "--secrets-read" : `--scope ${scope}`
    }`,
  });
}
