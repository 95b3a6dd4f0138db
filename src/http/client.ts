import { type IncomingMessage, request } from "node:http";
import { createInterface } from "node:readline";

import { Failure } from "../core/failure.ts";
import type { RunEvent } from "../core/run-state.ts";
import type { Actions, ServerStatus } from "../operations/operations.ts";
import type { EnvironmentRecord } from "../ports/environments.ts";
import { failureFromResponse } from "./failure-response.ts";

/** Where a server is and how to be let in. */
export interface ServerAddress {
  /** `http://127.0.0.1:PORT` */
  readonly api: string;
  readonly token: string;
}

/** A server's verbs over HTTP. Every call fails with server-unreachable when nobody answers. */
export interface ServerClient extends Actions {
  status(): Promise<ServerStatus>;
  listen(address: string): Promise<ServerStatus>;
  stop(options: { readonly services: boolean }): Promise<void>;
}

/** Milliseconds that a server may take to say how it is. */
const statusTime = 5_000;

/** `sshKey` goes with each deployment and is stored nowhere. */
export function createClient(address: ServerAddress, sshKey?: string): ServerClient {
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    return (await json(await send(address, method, path, body), address)) as T;
  };
  return {
    async status() {
      // Who does not answer this is not to be waited for: it asks nothing of the server.
      const response = await send(address, "GET", "/v1/server", undefined, AbortSignal.timeout(statusTime));
      return (await json(response, address)) as ServerStatus;
    },
    listen: (listen) => call("PUT", "/v1/server/listen", { listen }),
    async stop(options) {
      await call("POST", "/v1/server/stop", options);
    },
    deploy: (deployment) => call("POST", "/v1/runs", { request: deployment, sshKey }),
    async cancelRun(runId, why) {
      await call("POST", `/v1/runs/${encodeURIComponent(runId)}/cancel`, { why });
    },
    deleteDeployment: (name) => call("DELETE", `/v1/deployments/${encodeURIComponent(name)}`),
    cleanEnvironments: (options): Promise<readonly EnvironmentRecord[]> =>
      call("POST", "/v1/environments/clean", options),
    async *followRun(runId, after, signal) {
      const path = `/v1/runs/${encodeURIComponent(runId)}/events?after=${after}`;
      const response = await send(address, "GET", path, undefined, signal);
      try {
        for await (const line of createInterface({ input: response })) {
          if (line !== "") yield JSON.parse(line) as RunEvent;
        }
        if (!response.complete) throw new Error("the connection was lost");
      } catch (error) {
        if (signal?.aborted !== true) throw unreachable(address, error);
      } finally {
        response.destroy();
      }
    },
  };
}

async function send(
  { api, token }: ServerAddress,
  method: string,
  path: string,
  body: unknown,
  signal?: AbortSignal,
): Promise<IncomingMessage> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const asked = request(
      `${api}${path}`,
      {
        method,
        agent: false,
        headers: {
          authorization: `Bearer ${token}`,
          ...(text === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
        },
        ...(signal === undefined ? {} : { signal }),
      },
      resolve,
    );
    asked.once("error", (error) => reject(unreachable({ api, token }, error)));
    asked.end(text);
  });
  if ((response.statusCode ?? 500) < 300) return response;
  throw failureFromResponse(
    response.statusCode ?? 500,
    await json(response, { api, token }).catch(() => undefined),
  );
}

async function json(response: IncomingMessage, from: ServerAddress): Promise<unknown> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    throw unreachable(from, error);
  }
}

function unreachable({ api }: ServerAddress, cause: unknown): Failure {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new Failure("server-unreachable", `Cannot reach the Bodywork server at ${api}: ${text}.`, {
    hint: "Runs go on without the command line. See: bodywork server status",
    cause,
  });
}
