import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";

import type { Credentials } from "./credentials.ts";
import type { Access } from "./kubeconfig.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With its query: `/api/v1/namespaces?limit=500`. */
  readonly path: string;
  readonly body?: { readonly type: string; readonly text: string } | undefined;
  /** Milliseconds until the answer's head must be there. */
  readonly headTime: number;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  /** Seconds, when the server says so. */
  readonly retryAfter: number | undefined;
  /** To be read to its end, or destroyed. */
  readonly body: IncomingMessage;
}

/** Requests to one server over connections that stay open. Whatever gets in the way of an answer is thrown. */
export interface Transport {
  send(request: HttpRequest): Promise<HttpAnswer>;
  close(): void;
}

export async function createTransport(
  access: Access,
  credentials: Credentials,
  userAgent: string,
): Promise<Transport> {
  const server = new URL(access.server);
  const isPlain = server.protocol === "http:";
  const agent = await agentOf(access, isPlain);
  const begin = isPlain ? requestHttp : requestHttps;
  const base = server.pathname.replace(/\/+$/, "");
  return {
    async send({ method, path, body, headTime, signal }) {
      const { tls, headers } = await credentials.identity();
      signal.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
      const request = begin({
        ...tls,
        agent,
        method,
        host: server.hostname.replace(/^\[|\]$/g, ""),
        port: server.port || (isPlain ? 80 : 443),
        path: `${base}${path}`,
        headers: {
          Accept: "application/json",
          "User-Agent": userAgent,
          ...Object.fromEntries(
            Object.entries(headers).map(([name, value]) => [
              name,
              typeof value === "string" ? value : [...value],
            ]),
          ),
          ...(body && { "Content-Type": body.type, "Content-Length": Buffer.byteLength(body.text) }),
        },
        signal,
      });
      const timer = setTimeout(() => {
        request.destroy(new NoAnswer(`no answer within ${headTime / 1000} seconds`));
      }, headTime);
      request.on("error", reject);
      request.on("response", (response) => {
        clearTimeout(timer);
        // Whoever reads it is told; without a listener it would end the process.
        response.on("error", () => {});
        resolve({
          status: response.statusCode ?? 0,
          retryAfter: retryAfterOf(response.headers["retry-after"]),
          body: response,
        });
      });
      request.end(body?.text);
      try {
        return await promise;
      } finally {
        clearTimeout(timer);
      }
    },
    close: () => agent.destroy(),
  };
}

/** The server, or something on the way to it, keeps silent. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  readonly code = "ETIMEDOUT";
}

/** A dead peer is noticed by the probes of TCP, where no time-out of ours runs. */
const probePeriod = 30_000;

async function agentOf(access: Access, isPlain: boolean): Promise<HttpAgent> {
  const options = { keepAlive: true, keepAliveMsecs: probePeriod };
  if (access.proxy !== undefined) return (await import("./client-library.ts")).proxyAgent(access);
  return isPlain ? new HttpAgent(options) : new HttpsAgent(options);
}

/** Seconds, or a date, as HTTP has it. */
function retryAfterOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
}
