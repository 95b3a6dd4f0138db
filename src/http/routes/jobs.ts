import { z } from "zod";

import type { Operations } from "../../operations/operations.ts";
import {
  auditedAddress,
  credentials,
  credentialsOf,
  deployRequest,
  found,
  idParams,
  limit,
  name,
} from "../request-schemas.ts";
import { type Route, route } from "../route.ts";

export function jobRoutes(operations: Operations): readonly Route[] {
  return [
    route({
      method: "POST",
      path: "/jobs",
      scope: "deploy",
      summary: "Deploy as a job that nobody waits for, and that tries again when it fails",
      body: z.strictObject({
        name: name.optional(),
        request: deployRequest,
        retries: z.number().int().min(0).max(1_000),
        credentials,
      }),
      status: 201,
      audit: { what: "create job", on: ({ body }) => auditedAddress(body.request.url) },
      json: ({ body: { name, request, retries, credentials } }) =>
        operations.createJob({ name, request, retries }, credentialsOf(credentials)),
    }),
    route({
      method: "GET",
      path: "/jobs",
      scope: "read",
      summary: "Jobs, newest first: of one cronjob, those of none (async=true), or all",
      query: z
        .strictObject({ cronjob: name.optional(), async: z.stringbool().default(false), limit })
        .refine(({ cronjob, async }) => cronjob === undefined || !async, {
          message: "a job of a cronjob is not an async one",
        }),
      json: ({ query: { cronjob, async, limit } }) =>
        operations.jobs({ cronjob: async ? null : cronjob, limit }),
    }),
    route({
      method: "DELETE",
      path: "/jobs/:id",
      scope: "deploy",
      summary: "Delete a job with its runs and logs; what runs of it is cancelled",
      params: idParams,
      response: found.extend({ id: z.string().optional(), cancelled: z.array(z.string()).optional() }),
      audit: { what: "delete job", on: ({ params }) => `job ${params.id}` },
      json: ({ params }) => operations.deleteJob(params.id),
    }),
    route({
      method: "GET",
      path: "/jobs/:id/log",
      scope: "read",
      summary: "The story of a job's newest run with the logs of its stages, as JSON lines",
      params: idParams,
      lines: ({ params }) => operations.jobLog(params.id),
    }),
  ];
}
