import { type ServerResponse, STATUS_CODES } from "node:http";

/** An answer of the ingress itself, in the form of the API's failures. */
export interface OwnAnswer {
  readonly status: number;
  readonly code: "not-found" | "unavailable" | "bad-gateway" | "bad-request";
  readonly message: string;
}

/** Seconds after which a client may try again: about what a replica needs to come back. */
const retryAfter = 2;

export function answer(response: ServerResponse, own: OwnAnswer, options: { readonly close: boolean }): void {
  const body = ownBody(own);
  response.writeHead(own.status, [
    ...ownHeaders(own),
    "Content-Length",
    String(Buffer.byteLength(body)),
    ...(options.close ? ["Connection", "close"] : []),
  ]);
  response.end(body);
}

/** The same on a connection that asked to be upgraded, after which it closes. */
export function answerText(own: OwnAnswer): string {
  const body = ownBody(own);
  const length = String(Buffer.byteLength(body));
  const headers = [...ownHeaders(own), "Content-Length", length, "Connection", "close"];
  return headText(own.status, STATUS_CODES[own.status] ?? "", headers) + body;
}

/** `headers` are names and values in turn. */
export function headText(status: number, message: string, headers: readonly string[]): string {
  let text = `HTTP/1.1 ${status} ${message}\r\n`;
  for (let index = 0; index < headers.length; index += 2)
    text += `${headers[index]}: ${headers[index + 1]}\r\n`;
  return `${text}\r\n`;
}

export function noReplica(): OwnAnswer {
  return { status: 503, code: "unavailable", message: "No replica of this service takes connections now." };
}

export function gone(): OwnAnswer {
  return { status: 404, code: "not-found", message: "This service has just been removed." };
}

export function badAnswer(problem: string): OwnAnswer {
  return { status: 502, code: "bad-gateway", message: `The service did not answer properly: ${problem}.` };
}

export function replaced(): OwnAnswer {
  return {
    status: 503,
    code: "unavailable",
    message: "The replica that worked on this request was replaced, and had no more time to finish it.",
  };
}

function ownHeaders({ status }: OwnAnswer): readonly string[] {
  const type = ["Content-Type", "application/json; charset=utf-8", "Cache-Control", "no-store"];
  return status === 503 ? [...type, "Retry-After", String(retryAfter)] : type;
}

function ownBody({ code, message }: OwnAnswer): string {
  return `${JSON.stringify({ error: { code, message } })}\n`;
}
