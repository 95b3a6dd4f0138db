import { z } from "zod";

import { type SecretData, SecretValue } from "../../core/secret-value.ts";
import type { Operations } from "../../operations/operations.ts";
import { found, name } from "../request-schemas.ts";
import { type Route, route } from "../route.ts";

const data = z.record(z.string().min(1).max(256), z.string().max(1024 * 1024));
const secretParams = z.strictObject({ group: name, name });

export function secretRoutes(operations: Operations): readonly Route[] {
  return [
    route({
      method: "POST",
      path: "/secrets",
      scope: "deploy",
      summary: "Create a secret",
      body: z.strictObject({ group: name, name, data }),
      status: 201,
      audit: { what: "create secret", on: ({ body }) => `secret ${body.group}/${body.name}` },
      json: ({ body }) => operations.createSecret(body.group, body.name, concealed(body.data)),
    }),
    route({
      method: "PATCH",
      path: "/secrets/:group/:name",
      scope: "deploy",
      summary: "Change a secret: keys that are left out stay as they are",
      params: secretParams,
      body: z.strictObject({ data }),
      audit: { what: "update secret", on: ({ params }) => `secret ${params.group}/${params.name}` },
      json: ({ params, body }) => operations.updateSecret(params.group, params.name, concealed(body.data)),
    }),
    route({
      method: "DELETE",
      path: "/secrets/:group/:name",
      scope: "deploy",
      summary: "Delete a secret",
      params: secretParams,
      response: found,
      audit: { what: "delete secret", on: ({ params }) => `secret ${params.group}/${params.name}` },
      json: ({ params }) => operations.deleteSecret(params.group, params.name),
    }),
    route({
      method: "DELETE",
      path: "/secrets/:group",
      scope: "deploy",
      summary: "Delete every secret of a group",
      params: z.strictObject({ group: name }),
      response: z.array(z.string()),
      audit: { what: "delete secrets", on: ({ params }) => `secrets of ${params.group}` },
      json: async ({ params }) => [...(await operations.deleteSecretGroup(params.group))],
    }),
    route({
      method: "GET",
      path: "/secrets",
      scope: "read",
      summary: "Names, keys and versions of secrets, never their values",
      query: z.strictObject({ group: name.optional(), name: name.optional() }),
      json: ({ query }) => operations.secrets(query),
    }),
    route({
      method: "POST",
      path: "/secrets/reveal",
      scope: "secrets:read",
      summary: "Secrets with their values: the only route that lets them out",
      body: z.strictObject({ group: name, name: name.optional() }),
      audit: {
        what: "read secrets",
        on: ({ body }) =>
          body.name === undefined ? `secrets of ${body.group}` : `secret ${body.group}/${body.name}`,
        required: true,
      },
      json: async ({ body }) =>
        (await operations.readSecrets(body)).map((secret) => ({ ...secret, data: revealed(secret.data) })),
    }),
  ];
}

function concealed(sent: Readonly<Record<string, string>>): SecretData {
  return Object.fromEntries(Object.entries(sent).map(([key, text]) => [key, new SecretValue(text)]));
}

function revealed(data: SecretData): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, value.reveal()]));
}
