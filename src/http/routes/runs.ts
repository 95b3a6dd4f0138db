import { z } from "zod";

import type { Operations } from "../../operations/operations.ts";
import {
  auditedAddress,
  credentials,
  credentialsOf,
  deployRequest,
  idParams,
  limit,
  name,
  repeatableDeployRequest,
  words,
} from "../request-schemas.ts";
import { type Route, route } from "../route.ts";

const deployBody = z.strictObject({ request: deployRequest, credentials });

export function runRoutes(operations: Operations): readonly Route[] {
  return [
    route({
      method: "POST",
      path: "/runs",
      scope: "deploy",
      summary:
        "Deploy: the run is accepted and goes on by itself; of one key once, however often it is asked for",
      body: z.strictObject({ request: repeatableDeployRequest, credentials }),
      response: z.object({ runId: z.string() }),
      status: 202,
      audit: { what: "deploy", on: ({ body }) => auditedAddress(body.request.url) },
      json: ({ body }) => operations.deploy(body.request, credentialsOf(body.credentials)),
    }),
    route({
      method: "POST",
      path: "/plans",
      // It changes nothing, but has the server fetch a repository with the keys that it has.
      scope: "deploy",
      summary: "What a deployment would do",
      body: deployBody,
      json: ({ body }) => operations.plan(body.request, credentialsOf(body.credentials)),
    }),
    route({
      method: "GET",
      path: "/runs",
      scope: "read",
      summary: "Runs, newest first",
      query: z.strictObject({ deployment: name.optional(), limit }),
      json: ({ query }) => operations.runs(query),
    }),
    route({
      method: "GET",
      path: "/runs/:id",
      scope: "read",
      summary: "A run, by its id or an unambiguous beginning of it",
      params: idParams,
      json: ({ params }) => operations.run(params.id),
    }),
    route({
      method: "GET",
      path: "/runs/:id/events",
      scope: "read",
      summary: "What happens in a run until it is finished, with the logs of its stages, as JSON lines",
      params: idParams,
      query: z.strictObject({ after: z.coerce.number().int().min(0).default(0) }),
      lines: ({ params, query, signal }) => operations.followRun(params.id, query.after, signal),
    }),
    route({
      method: "POST",
      path: "/runs/:id/cancel",
      scope: "deploy",
      summary: "Ask a run to stop and to put back what it changed",
      params: idParams,
      body: z.strictObject({ why: words }),
      status: 202,
      audit: { what: "cancel run", on: ({ params }) => `run ${params.id}` },
      json: async ({ params, body }) => {
        await operations.cancelRun(params.id, body.why);
        return {};
      },
    }),
  ];
}
