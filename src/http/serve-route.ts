import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";

import { asFailure } from "../core/failure.ts";
import type { AuditEntry } from "../ports/access-store.ts";
import type { Caller } from "./access.ts";
import type { AuditLog } from "./audit-log.ts";
import type { Route, RouteRequest } from "./route.ts";
import { sendStream } from "./send-stream.ts";

export interface ServeRouteParts {
  readonly audit: AuditLog;
  /** As of `sendStream`. */
  readonly beat: number;
  readonly callerOf: (request: FastifyRequest) => Caller;
  readonly fromOf: (request: FastifyRequest) => string;
}

/** Puts a route of the table onto the server, at `/api/v1`. */
export function serveRoute(app: FastifyInstance, route: Route, parts: ServeRouteParts): void {
  const { method, path, scope, summary, schema } = route;
  const { response, ...taken } = schema;
  app.route({
    method,
    url: `/api/v1${path}`,
    config: { scope },
    schema: {
      ...taken,
      summary,
      description: `Scope: \`${scope}\`.`,
      tags: [path.split("/")[1] ?? ""],
      response: { [route.status ?? 200]: described(route, response) },
    },
    handler: (request, reply) => handle(route, request, reply, parts),
  });
}

/** What the answer is, for the OpenAPI document. */
function described({ answer }: Route, response: z.ZodType | undefined) {
  return { description: "Done", content: { [contentTypes[answer.kind]]: { schema: response ?? z.any() } } };
}

const contentTypes = {
  json: "application/json",
  lines: "application/x-ndjson",
  bytes: "application/octet-stream",
} as const;

async function handle(
  { method, answer, audit: audited, status }: Route,
  request: FastifyRequest,
  reply: FastifyReply,
  { audit, beat, callerOf, fromOf }: ServeRouteParts,
): Promise<unknown> {
  const gone = new AbortController();
  reply.raw.once("close", () => gone.abort());
  const { params, query, body } = request;
  const caller = callerOf(request);
  const asked: RouteRequest = { params, query, body, caller, signal: gone.signal };
  const record = (result: string, write: (entry: Omit<AuditEntry, "at">) => void): void => {
    if (audited === undefined) return;
    write({ who: caller.name, from: fromOf(request), what: audited.what, on: audited.on(asked), result });
  };
  if (answer.kind === "json") {
    try {
      const value = await answer.of(asked);
      record(
        method === "DELETE" && isNothing(value) ? "not-found" : "done",
        audited?.required ? audit.add : audit.tell,
      );
      return reply.code(status ?? 200).send(value);
    } catch (error) {
      record(asFailure(error).code, audit.tell);
      throw error;
    }
  }
  record("done", audit.add);
  await sendStream(reply, answer.kind === "lines" ? jsonLines(answer.of(asked)) : answer.of(asked), {
    contentType: contentTypes[answer.kind],
    lines: answer.kind === "lines",
    stillAllowed: caller.stillKnown,
    beat,
  });
  return reply;
}

/** What was to be deleted was not there: nothing was found, or of a group no names. */
function isNothing(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === "object" && value !== null && "found" in value && value.found === false;
}

async function* jsonLines(records: AsyncIterable<unknown>): AsyncIterable<string> {
  for await (const record of records) yield `${JSON.stringify(record)}\n`;
}
