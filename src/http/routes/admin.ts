import { z } from "zod";

import { Failure } from "../../core/failure.ts";
import { allows } from "../../operations/access-tokens.ts";
import type { ServerAdmin } from "../../operations/server-admin.ts";
import { found, idParams } from "../request-schemas.ts";
import { type Route, route } from "../route.ts";

const scopes = z.enum(["read", "deploy", "admin", "secrets:read"]);

export function adminRoutes(admin: ServerAdmin): readonly Route[] {
  return [
    route({
      method: "POST",
      path: "/server/tokens",
      scope: "admin",
      summary: "Make a token; it is in this answer and nowhere else",
      body: z.strictObject({
        name: z.string().min(1).max(100),
        scopes: z.array(scopes).min(1),
        expiresInSeconds: z.number().positive().max(3_200_000_000).optional(),
      }),
      status: 201,
      audit: { what: "create token", on: ({ body }) => `token ${body.name}: ${body.scopes.join(", ")}` },
      json: async ({ body, caller }) => {
        const beyond = body.scopes.filter((scope) => !allows(caller.scopes, scope));
        if (beyond.length > 0) {
          throw new Failure(
            "not-allowed",
            `Cannot make a token of scope ${beyond.join(", ")}: ${caller.name} does not have it itself.`,
          );
        }
        const { name, scopes, expiresInSeconds } = body;
        const { record, token } = await admin.createToken({ name, scopes, expiresInSeconds });
        return { record, token: token.reveal() };
      },
    }),
    route({
      method: "GET",
      path: "/server/tokens",
      scope: "admin",
      summary: "Tokens, without what they are",
      json: () => admin.tokens(),
    }),
    route({
      method: "DELETE",
      path: "/server/tokens/:id",
      scope: "admin",
      summary: "Revoke a token: it is refused from its next request on",
      params: idParams,
      response: found,
      // Somebody may give the token itself in place of its id.
      audit: {
        what: "revoke token",
        on: ({ params }) => (/^[0-9a-f]{8}$/.test(params.id) ? `token ${params.id}` : "no id of a token"),
      },
      json: ({ params }) => admin.revokeToken(params.id),
    }),
    route({
      method: "GET",
      path: "/server/audit",
      scope: "admin",
      summary: "Who did what, newest first",
      query: z.strictObject({ limit: z.coerce.number().int().min(0).default(100) }),
      json: ({ query }) => admin.audit(query),
    }),
    route({
      method: "GET",
      path: "/server/backup",
      scope: "admin",
      summary: "A whole copy of the store; the master key of the secrets is not in it",
      audit: { what: "back up", on: () => "store" },
      bytes: () => admin.backup(),
    }),
    route({
      method: "POST",
      path: "/server/rotate-key",
      scope: "admin",
      summary: "Seal every secret anew, with a new master key",
      audit: { what: "rotate key", on: () => "secrets" },
      json: () => admin.rotateKey(),
    }),
  ];
}
