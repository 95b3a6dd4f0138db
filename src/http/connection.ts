import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { Socket } from "node:net";
import { getCACertificates } from "node:tls";

import { Failure } from "../core/failure.ts";
import { type FailureBody, failureFromResponse } from "./failure-response.ts";
import { isLoopback } from "./loopback.ts";
import { parseServerUrl } from "./server-url.ts";
import { versionHeader, versionMismatch, worksWith } from "./version-rule.ts";

/** Where a server is and how to be let in. */
export interface ServerAddress {
  /** `http://127.0.0.1:PORT`, `https://HOST:PORT/PREFIX`. */
  readonly api: string;
  readonly token: string;
  /** Certificates in PEM to trust besides those that the machine trusts. */
  readonly ca?: string | undefined;
  /** As of `parseServerUrl`. */
  readonly insecureHttp?: boolean;
  /**
   * The client's own version, for a server that it can't replace: one of another `major.minor` is refused, by either side,
   * before anything is done.
   */
  readonly version?: string;
}

/** Requests to one server. Every one fails with server-unreachable when nobody answers, or not to the end. */
export interface Connection {
  json<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T>;
  /** JSON lines, as they come; ends without failing when the signal aborts. */
  lines<T>(path: string, signal?: AbortSignal): AsyncIterable<T>;
  bytes(path: string): AsyncIterable<Uint8Array>;
}

/** Milliseconds until a connection must stand. */
const connectTime = 30_000;
/** Milliseconds without a byte after which a stream is dead: the server gives a sign of life every 15 s. */
const silenceTime = 45_000;

/** Fails: usage when the address may not be used. */
export function createConnection(address: ServerAddress): Connection {
  const base = parseServerUrl(address.api, { insecureHttp: address.insecureHttp ?? false });
  const send = (
    method: string,
    path: string,
    body: unknown,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> => sendRequest(address, base, { method, path, body, signal });
  return {
    async json<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
      return (await readJson(await send(method, path, body, signal), base)) as T;
    },
    async *lines<T>(path: string, signal?: AbortSignal) {
      let response: IncomingMessage | undefined;
      try {
        response = await send("GET", path, undefined, signal);
        endWhenSilent(response);
        for await (const record of recordsOf(response)) yield record as T;
      } catch (error) {
        if (signal?.aborted !== true) throw error instanceof Failure ? error : unreachable(base, error);
      } finally {
        response?.destroy();
      }
    },
    async *bytes(path) {
      const response = await send("GET", path, undefined);
      try {
        for await (const chunk of response) yield chunk as Buffer;
        if (!response.complete) throw new Error("the connection was lost");
      } catch (error) {
        throw unreachable(base, error);
      } finally {
        response.destroy();
      }
    },
  };
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly signal: AbortSignal | undefined;
}

async function sendRequest(
  { token, ca, version }: ServerAddress,
  base: string,
  { method, path, body, signal }: Asked,
): Promise<IncomingMessage> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const secure = base.startsWith("https:");
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = (secure ? requestHttps : requestHttp)(
      `${base}${path}`,
      {
        method,
        agent: false,
        ...(ca === undefined ? {} : { ca: [...getCACertificates("default"), ca] }),
        headers: {
          authorization: `Bearer ${token}`,
          ...(version === undefined ? {} : { [versionHeader]: version }),
          ...(text === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
        },
        ...(signal === undefined ? {} : { signal }),
      },
      resolve,
    );
    const late = setTimeout(
      () => request.destroy(new Error(`no connection within ${connectTime / 1_000} s`)),
      connectTime,
    );
    request.once("socket", (socket: Socket) => {
      socket.setKeepAlive(true, 15_000); // Some calls take minutes; a dead machine is noticed all the same.
      socket.once(secure ? "secureConnect" : "connect", () => clearTimeout(late));
    });
    request.once("close", () => clearTimeout(late));
    request.once("error", (error) => reject(unreachable(base, error)));
    request.end(text);
  });
  try {
    return await accepted(response, base, version);
  } catch (error) {
    response.destroy();
    throw error;
  }
}

/** Redirects are not followed: the token is for this server alone. */
async function accepted(
  response: IncomingMessage,
  base: string,
  version: string | undefined,
): Promise<IncomingMessage> {
  const status = response.statusCode ?? 500;
  if (version !== undefined) {
    const theirs = response.headers[versionHeader]?.toString();
    if (theirs === undefined) throw noServer(base, status, response.headers.location);
    if (!worksWith(version, theirs)) {
      throw versionMismatch(`The server ${base}`, { client: version, server: theirs });
    }
  }
  if (status >= 200 && status < 300) return response;
  throw failureFromResponse(status, await readJson(response, base).catch(() => undefined));
}

async function readJson(response: IncomingMessage, base: string): Promise<unknown> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    throw unreachable(base, error);
  }
}

/** Not by readline: to it U+2028, which JSON lets stand in a text, ends a line too. */
async function* recordsOf(response: IncomingMessage): AsyncIterable<unknown> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of response) {
    const lines = (rest + decoder.decode(chunk as Buffer, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") continue;
      const record: unknown = JSON.parse(line);
      if (isFailure(record)) throw failureFromResponse(response.statusCode ?? 200, record);
      yield record;
    }
  }
  if (!response.complete || rest !== "") throw new Error("the connection was lost");
}

/** The last line of a stream that failed. What is streamed otherwise has no `error`. */
function isFailure(record: unknown): record is FailureBody {
  return typeof record === "object" && record !== null && "error" in record && !("kind" in record);
}

function endWhenSilent(response: IncomingMessage): void {
  response.socket.setTimeout(silenceTime, () =>
    response.destroy(new Error(`nothing was heard for ${silenceTime / 1_000} s`)),
  );
}

function noServer(base: string, status: number, location: string | undefined): Failure {
  return new Failure(
    "server-unreachable",
    `What answers at ${base} is no Bodywork server (HTTP ${status}).`,
    {
      hint:
        location === undefined
          ? "Check the address, and the proxy before the server."
          : `It points to ${location}, which is not followed: use the address of the server itself.`,
    },
  );
}

function unreachable(base: string, cause: unknown): Failure {
  const { message, hint } = troubleOf(cause as NodeJS.ErrnoException, base);
  return new Failure("server-unreachable", `Cannot reach the Bodywork server at ${base}: ${message}.`, {
    hint,
    cause,
  });
}

function troubleOf(
  { message, code = "" }: NodeJS.ErrnoException,
  base: string,
): { readonly message: string; readonly hint: string } {
  if (/^(EPROTO|ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG)$/.test(code)) {
    return {
      message: "what answers there does not speak TLS",
      hint: "Use http:// for a server without TLS, or check the port.",
    };
  }
  if (/CERT|SELF_SIGNED|ALTNAME|UNABLE_TO/.test(code)) {
    const hint = "Have its certificate trusted: bodywork login --ca-file FILE, or BODYWORK_CA_FILE.";
    return { message, hint };
  }
  const isElsewhere = !isLoopback(new URL(base).hostname);
  if (isElsewhere && /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/.test(code)) {
    return { message, hint: "Check the address, and whether the server runs there." };
  }
  return { message, hint: "Runs go on without the command line. See: bodywork server status" };
}
