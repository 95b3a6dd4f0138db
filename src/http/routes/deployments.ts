import { z } from "zod";

import type { Operations } from "../../operations/operations.ts";
import { found, name, nameParams } from "../request-schemas.ts";
import { type Route, route } from "../route.ts";

export function deploymentRoutes(operations: Operations): readonly Route[] {
  return [
    route({
      method: "GET",
      path: "/deployments",
      scope: "read",
      summary: "Deployments with their services, live release and last run",
      query: z.strictObject({ name: name.optional(), namespace: name.optional() }),
      json: ({ query }) => operations.deployments(query),
    }),
    route({
      method: "DELETE",
      path: "/deployments/:name",
      scope: "deploy",
      summary: "Delete a deployment with all that belongs to it",
      params: nameParams,
      response: found,
      audit: { what: "delete deployment", on: ({ params }) => `deployment ${params.name}` },
      json: ({ params }) => operations.deleteDeployment(params.name),
    }),
    route({
      method: "DELETE",
      path: "/deployments/:name/services/:service",
      scope: "deploy",
      summary: "Delete a service with its route, until the next deployment brings it back",
      params: z.strictObject({ name, service: name }),
      audit: { what: "delete service", on: ({ params }) => `service ${params.name}/${params.service}` },
      json: ({ params }) => operations.deleteService(params.name, params.service),
    }),
    route({
      method: "GET",
      path: "/logs",
      scope: "read",
      summary: "Logs of a deployment, of one stage or of one run, as JSON lines",
      query: z.strictObject({
        deployment: z.string().max(256),
        stage: name.optional(),
        run: name.optional(),
        tail: z.coerce.number().int().min(0).optional(),
        follow: z.stringbool().default(false),
      }),
      lines: ({ query: { deployment, stage, run, tail, follow }, signal }) =>
        operations.logs({ deployment, stage, runId: run, tail, follow }, signal),
    }),
  ];
}
