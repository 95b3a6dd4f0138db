import swagger from "@fastify/swagger";
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";

import { asFailure, Failure } from "../core/failure.ts";
import type { Operations } from "../operations/operations.ts";
import type { ServerAdmin } from "../operations/server-admin.ts";
import type { AccessStore } from "../ports/access-store.ts";
import { type Caller, createAccess } from "./access.ts";
import { type AuditLog, createAuditLog } from "./audit-log.ts";
import { failureBody, failureStatus } from "./failure-response.ts";
import { createGate } from "./gate.ts";
import type { Route } from "./route.ts";
import { adminRoutes } from "./routes/admin.ts";
import { cronjobRoutes } from "./routes/cronjobs.ts";
import { deploymentRoutes } from "./routes/deployments.ts";
import { environmentRoutes } from "./routes/environments.ts";
import { jobRoutes } from "./routes/jobs.ts";
import { runRoutes } from "./routes/runs.ts";
import { secretRoutes } from "./routes/secrets.ts";
import { type ServerProcess, serverRoutes } from "./routes/server.ts";
import { type HealthParts, serveHealth } from "./serve-health.ts";
import { serveRoute } from "./serve-route.ts";
import { listRoutes, type ServedRoute } from "./served-routes.ts";
import { createTryLimit } from "./try-limit.ts";
import { versionHeader } from "./version-rule.ts";

export interface ApiParts extends ServerProcess, Omit<HealthParts, "callerOf"> {
  readonly operations: Operations;
  readonly admin: ServerAdmin;
  readonly access: AccessStore;
  /** As of `createAccess`. */
  readonly localToken: string;
  /** As of `createGate`. */
  readonly hosts: readonly string[];
  readonly version: string;
  readonly now: () => Date;
  /** Into the server's log. */
  readonly report: (text: string) => void;
  /** Into the server's log too: what is nobody's fault but ours, and in what it happened. */
  readonly fault: (doing: string, error: unknown) => void;
  /** As of `sendStream`; 15 s if left out. */
  readonly beat?: number;
}

export interface Api {
  readonly app: FastifyInstance;
  /** Everything that it answers to. */
  readonly routes: readonly ServedRoute[];
}

/** Characters that are said of what is wrong with a request. */
const mostWords = 2_000;
/** Milliseconds that a whole request may take to arrive. */
const requestTime = 60_000;

/**
 * The HTTP API of the server, for commands on this machine and on others: `/api/v1`, described by its own
 * `/api/v1/openapi.json`. Nothing is answered to who has no token, but how the server is.
 */
export async function createApi(parts: ApiParts): Promise<Api> {
  const app = Fastify({
    bodyLimit: 4 * 1024 * 1024,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    requestTimeout: requestTime,
    routerOptions: { maxParamLength: 1024 },
    // What no route can be found for is not looked at further: who asks is not let in for it, and learns nothing.
    frameworkErrors: (error, _request, reply: FastifyReply) => {
      const failure = failureOf(error);
      return reply
        .header(versionHeader, parts.version)
        .code(failureStatus(failure))
        .send(failureBody(failure));
    },
  });
  const callers = new WeakMap<FastifyRequest, Caller>();
  const audit = createAuditLog({ store: parts.access, now: parts.now, report: parts.report });
  const routes = listRoutes(app);
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  // A page may send text to another site without asking; of documents in JSON the browser asks first.
  app.removeContentTypeParser("text/plain");
  guard(app, callers, audit, parts);
  answerFailures(app, parts.fault);
  await describe(app, parts.version);

  const callerOf = (request: FastifyRequest): Caller => {
    const caller = callers.get(request);
    if (caller === undefined) throw new Error(`nobody was let in to ${request.url}`);
    return caller;
  };
  for (const route of tableOf(parts)) {
    serveRoute(app, route, { audit, beat: parts.beat ?? 15_000, callerOf, fromOf });
  }
  serveHealth(app, { ...parts, callerOf: (request) => callers.get(request) });
  app.get("/api/v1/openapi.json", { config: { scope: "read" }, schema: { hide: true } }, async () =>
    app.swagger(),
  );
  await app.ready();
  return { app, routes };
}

function tableOf(parts: ApiParts): readonly Route[] {
  return [
    ...runRoutes(parts.operations),
    ...deploymentRoutes(parts.operations),
    ...jobRoutes(parts.operations),
    ...cronjobRoutes(parts.operations),
    ...secretRoutes(parts.operations),
    ...environmentRoutes(parts.operations),
    ...serverRoutes(parts),
    ...adminRoutes(parts.admin),
  ];
}

function guard(
  app: FastifyInstance,
  callers: WeakMap<FastifyRequest, Caller>,
  audit: AuditLog,
  parts: ApiParts,
): void {
  const access = createAccess({ store: parts.access, localToken: parts.localToken, now: parts.now });
  const gate = createGate({ ...parts, access });
  // A right token of too small a scope may be used over and over: the audit log tells of the first uses.
  const tellings = createTryLimit({ most: 10, milliseconds: 60_000, now: () => parts.now().getTime() });
  app.addHook("onRequest", async (request, reply) => {
    reply.header(versionHeader, parts.version).header("cache-control", "no-store");
    const from = fromOf(request);
    const { method, headers, routeOptions } = request;
    const admission = gate({ method, headers, from, scope: routeOptions.config.scope });
    if (admission.kind === "in") {
      if (admission.caller !== undefined) callers.set(request, admission.caller);
      return;
    }
    const { status, failure, told } = admission;
    if (told !== undefined && tellings.take(`${told} ${from}`)) {
      const on = `${method} ${routeOptions.url ?? "(no route)"}`;
      audit.tell({ who: told, from, what: "refused token", on, result: failure.code });
    }
    if (status === 401) reply.header("www-authenticate", "Bearer");
    if (status === 429) reply.header("retry-after", "60");
    return reply.code(status).send(failureBody(failure));
  });
}

function answerFailures(app: FastifyInstance, fault: ApiParts["fault"]): void {
  app.setErrorHandler((error, request, reply) => {
    const failure = failureOf(error);
    if (failure.kind === "bug") {
      fault(`Cannot answer ${request.method} ${request.routeOptions.url}`, error);
    }
    return reply.code(failureStatus(failure)).send(failureBody(failure));
  });
  app.setNotFoundHandler((request, reply) => {
    const failure = new Failure("not-found", `The API has no ${request.method} ${request.url}.`);
    return reply.code(failureStatus(failure)).send(failureBody(failure));
  });
}

async function describe(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Bodywork",
        version,
        description:
          'A failure is `{"error": {"code", "message", "hint", "details"}}`. Streams are JSON lines: an empty one is a sign of life, a failure is the last.',
      },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      security: [{ token: [] }],
    },
    transform: jsonSchemaTransform,
  });
}

/** What our schemas and the HTTP server say of a request is the caller's to mend. */
function failureOf(error: unknown): Failure {
  const { statusCode, message } = error as FastifyError;
  if (statusCode !== undefined && statusCode < 500) {
    // Of a document with a hundred thousand mistakes the first ones will do.
    return new Failure("usage", `The request is not of the API's form: ${message.slice(0, mostWords)}`);
  }
  return asFailure(error);
}

/** An IPv4 address that came to an IPv6 socket is written as such. */
function fromOf({ ip }: FastifyRequest): string {
  return ip.replace(/^::ffff:(?=\d+\.)/, "");
}
