import { createHash, timingSafeEqual } from "node:crypto";
import type { ServerResponse } from "node:http";

import Fastify, { type FastifyInstance } from "fastify";
import { z } from "zod";

import { asFailure, Failure } from "../core/failure.ts";
import type { ServerStatus } from "../operations/operations.ts";
import type { RunActions } from "../operations/run-actions.ts";
import type { EnvironmentRecord } from "../ports/environments.ts";
import { failureBody, failureStatus } from "./failure-response.ts";

export interface ApiParts {
  readonly actions: RunActions;
  /** Every request must bear it. */
  readonly token: string;
  readonly status: () => ServerStatus;
  /** Moves the public listener of the ingress, `HOST:PORT`. */
  readonly listen: (address: string) => Promise<void>;
  /** Ends this process soon after it returns; the services too when asked. */
  readonly stop: (options: { readonly services: boolean }) => Promise<void>;
}

const deployBody = z.object({
  request: z.object({
    url: z.string().min(1).max(4096),
    branch: z.string().max(1024).optional(),
    sshKeyFile: z.string().max(4096).optional(),
    acceptHostKey: z.string().max(256).optional(),
    strict: z.boolean(),
    startedBy: z.string().max(64),
  }),
  sshKey: z.string().max(65_536).optional(),
});
const afterQuery = z.object({ after: z.coerce.number().int().min(0).default(0) });
const idParams = z.object({ id: z.string().max(64) });
const nameParams = z.object({ name: z.string().max(256) });
const cancelBody = z.object({ why: z.string().max(256) });
const cleanBody = z.object({ unusedDays: z.number().min(0) });
const stopBody = z.object({ services: z.boolean() });
const listenBody = z.object({ listen: z.string().max(256) });

/**
 * The HTTP API of the server, for the command line on this machine: on a loopback address, with a token, and only for
 * the host names of loopback (a page in the user's browser can reach neither). Runs are followed as JSON lines.
 */
export function createApi(parts: ApiParts): FastifyInstance {
  const api = Fastify({ bodyLimit: 1024 * 1024, forceCloseConnections: true });
  const wanted = digest(`Bearer ${parts.token}`);
  api.addHook("onRequest", async (request, reply) => {
    if (!["127.0.0.1", "localhost", "[::1]"].includes(hostOf(request.headers.host))) {
      return reply.code(421).send(failureBody(new Failure("usage", "This address is not served here.")));
    }
    if (!timingSafeEqual(digest(request.headers.authorization ?? ""), wanted)) {
      return reply.code(401).send(failureBody(new Failure("usage", "The token is missing or wrong.")));
    }
  });
  api.setErrorHandler((error, _request, reply) => {
    const failure = failureOf(error);
    return reply.code(failureStatus(failure)).send(failureBody(failure));
  });
  api.setNotFoundHandler((request, reply) => {
    const failure = new Failure("not-found", `The API has no ${request.method} ${request.url}.`);
    return reply.code(failureStatus(failure)).send(failureBody(failure));
  });

  api.get("/v1/server", async () => parts.status());
  api.post("/v1/server/stop", async (request) => {
    await parts.stop(stopBody.parse(request.body));
    return {};
  });
  api.put("/v1/server/listen", async (request) => {
    await parts.listen(listenBody.parse(request.body).listen);
    return parts.status();
  });
  api.post("/v1/runs", async (request, reply) => {
    const body = deployBody.parse(request.body);
    const { branch } = body.request;
    const accepted = await parts.actions.deploy({ ...body.request, branch }, body.sshKey);
    return reply.code(202).send(accepted);
  });
  api.get("/v1/runs/:id/events", async (request, reply) => {
    const { id } = idParams.parse(request.params);
    const { after } = afterQuery.parse(request.query);
    const gone = new AbortController();
    const events = parts.actions.followRun(id, after, gone.signal);
    reply.hijack();
    const out = reply.raw;
    out.once("close", () => gone.abort());
    out.writeHead(200, { "content-type": "application/x-ndjson" });
    out.flushHeaders();
    try {
      for await (const event of events) {
        if (gone.signal.aborted) break;
        if (!out.write(`${JSON.stringify(event)}\n`)) await drained(out);
      }
      out.end();
    } catch {
      out.destroy(); // Cut short, it is not taken for the end of the run.
    }
  });
  api.post("/v1/runs/:id/cancel", async (request, reply) => {
    await parts.actions.cancelRun(idParams.parse(request.params).id, cancelBody.parse(request.body).why);
    return reply.code(202).send({});
  });
  api.delete("/v1/deployments/:name", async (request) =>
    parts.actions.deleteDeployment(nameParams.parse(request.params).name),
  );
  api.post(
    "/v1/environments/clean",
    async (request): Promise<readonly EnvironmentRecord[]> =>
      parts.actions.cleanEnvironments(cleanBody.parse(request.body)),
  );
  return api;
}

/** What our own schemas and the HTTP server's say of a request is the caller's to mend. */
function failureOf(error: unknown): Failure {
  if (error instanceof z.ZodError) {
    return new Failure("usage", `The request is not of the API's form: ${z.prettifyError(error)}`);
  }
  if (error instanceof Error && "statusCode" in error && Number(error.statusCode) < 500) {
    return new Failure("usage", `The request is not of the API's form: ${error.message}`);
  }
  return asFailure(error);
}

/** Until more can be written, or nobody reads any more. */
function drained(out: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      out.off("drain", done);
      out.off("close", done);
      resolve();
    };
    out.once("drain", done);
    out.once("close", done);
  });
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function hostOf(header: string | undefined): string {
  return (header ?? "").replace(/:\d+$/, "");
}
