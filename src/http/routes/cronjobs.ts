import { z } from "zod";

import type { Operations } from "../../operations/operations.ts";
import { credentials, credentialsOf, deployRequest, found, name, nameParams } from "../request-schemas.ts";
import { type Route, route } from "../route.ts";

const spec = {
  schedule: z.string().max(256),
  timezone: z.string().max(64),
  request: deployRequest,
  retries: z.number().int().min(0).max(1_000),
  historyLimit: z.number().int().min(0).max(10_000),
  concurrency: z.enum(["forbid", "allow", "replace"]),
  catchUp: z.enum(["latest", "none", "all"]),
  suspended: z.boolean(),
};

export function cronjobRoutes(operations: Operations): readonly Route[] {
  return [
    route({
      method: "POST",
      path: "/cronjobs",
      scope: "deploy",
      summary: "Create a cronjob",
      body: z.strictObject({ spec: z.strictObject({ name, ...spec }), credentials }),
      status: 201,
      audit: { what: "create cronjob", on: ({ body }) => `cronjob ${body.spec.name}` },
      json: ({ body }) => operations.createCronjob(body.spec, credentialsOf(body.credentials)),
    }),
    route({
      method: "PATCH",
      path: "/cronjobs/:name",
      scope: "deploy",
      summary: "Change a cronjob: what is left out stays as it is",
      params: nameParams,
      body: z.strictObject({ change: z.strictObject(spec).partial(), credentials }),
      audit: { what: "update cronjob", on: ({ params }) => `cronjob ${params.name}` },
      json: ({ params, body }) =>
        operations.updateCronjob(params.name, body.change, credentialsOf(body.credentials)),
    }),
    route({
      method: "DELETE",
      path: "/cronjobs/:name",
      scope: "deploy",
      summary: "Delete a cronjob with its jobs; what it has deployed lives on",
      params: nameParams,
      response: found.extend({ cancelled: z.array(z.string()).optional() }),
      audit: { what: "delete cronjob", on: ({ params }) => `cronjob ${params.name}` },
      json: ({ params }) => operations.deleteCronjob(params.name),
    }),
    route({
      method: "GET",
      path: "/cronjobs",
      scope: "read",
      summary: "Cronjobs with their next times and last job",
      query: z.strictObject({ name: name.optional() }),
      json: ({ query }) => operations.cronjobs(query),
    }),
  ];
}
