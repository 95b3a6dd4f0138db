import type { IncomingMessage } from "node:http";

/** What a request gets on its way to a replica. */
export interface RequestHeadOptions {
  /** Path and query as the service sees them. */
  readonly target: string;
  /** `/NAMESPACE/STAGE`, when it was taken off the path. */
  readonly prefix: string | undefined;
  readonly connection: "keep-alive" | "close" | "upgrade";
  /** Named when the client sent no Host (HTTP/1.0). */
  readonly defaultHost: string;
}

/**
 * Headers that are about one connection, not about the message (RFC 9110, 7.6.1). Framing is among them: how the body
 * is delimited towards the other side is ours to say.
 */
const hopByHop = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "transfer-encoding",
  "upgrade",
];

/** What only the ingress may say about where a request came from. */
const forwarding = [
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-prefix",
];

const droppedFromRequest = new Set([
  ...hopByHop,
  ...forwarding,
  "x-forwarded-port",
  "x-forwarded-server",
  "x-forwarded-scheme",
  "x-forwarded-ssl",
  "x-real-ip",
]);
const droppedFromResponse = new Set([...hopByHop, "x-bodywork-release"]);

/** Why a request is not passed on, though the parser took it. */
export interface RefusedRequest {
  readonly status: number;
  readonly problem: string;
}

/** Node's parser refuses most that is ambiguous; this is the rest. Undefined when the request is fine. */
export function requestProblem(request: IncomingMessage): RefusedRequest | undefined {
  const encoding = request.headers["transfer-encoding"];
  if (encoding !== undefined) {
    if (request.httpVersionMinor === 0) {
      return { status: 400, problem: "Transfer-Encoding is not part of HTTP/1.0." };
    }
    if (encoding.toLowerCase() !== "chunked") {
      return { status: 501, problem: "The only Transfer-Encoding that is understood is chunked." };
    }
  }
  if (count(request.rawHeaders, "host") > 1) {
    return { status: 400, problem: "The request has more than one Host header." };
  }
  return undefined;
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

/** The first line and the headers of a request as they are sent to a replica. */
export function requestHead(request: IncomingMessage, options: RequestHeadOptions): string {
  const { rawHeaders, headers } = request;
  const listed = connectionOptions(headers.connection);
  let head = `${request.method} ${options.target} HTTP/1.1\r\n`;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (isDropped(name, droppedFromRequest, listed)) continue;
    head += `${name}: ${rawHeaders[index + 1]}\r\n`;
  }
  if (headers.host === undefined) head += `Host: ${options.defaultHost}\r\n`;
  head += `X-Forwarded-For: ${clientOf(request)}\r\nX-Forwarded-Proto: http\r\n`;
  if (headers.host !== undefined) head += `X-Forwarded-Host: ${headers.host}\r\n`;
  if (options.prefix !== undefined) head += `X-Forwarded-Prefix: ${options.prefix}\r\n`;
  if (headers["transfer-encoding"] !== undefined) head += "Transfer-Encoding: chunked\r\n";
  if (options.connection === "upgrade")
    return `${head}Upgrade: ${headers.upgrade}\r\nConnection: Upgrade\r\n\r\n`;
  return `${head}Connection: ${options.connection}\r\n\r\n`;
}

/**
 * A replica's headers (name, value, name, …) as its client gets them, with the release. `chunked`: towards the client
 * the body will be, so that trailers may be announced.
 */
export function responseHeaders(
  rawHeaders: readonly string[],
  release: string,
  { chunked }: { readonly chunked: boolean },
): string[] {
  const listed = connectionOptions(headerValue(rawHeaders, "connection"));
  const kept: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (isDropped(name, droppedFromResponse, listed)) continue;
    if (!chunked && name.toLowerCase() === "trailer") continue;
    kept.push(name, rawHeaders[index + 1] as string);
  }
  kept.push("X-Bodywork-Release", release);
  return kept;
}

/** Trailers that may be passed on, as pairs: none that would change how the message is read (RFC 9110, 6.5.1). */
export function passedTrailers(rawTrailers: readonly string[]): readonly (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = [];
  for (let index = 0; index < rawTrailers.length; index += 2) {
    const name = rawTrailers[index] as string;
    if (isDropped(name, droppedFromRequest, ["content-length", "host", "trailer", "x-bodywork-release"]))
      continue;
    pairs.push([name, rawTrailers[index + 1] as string]);
  }
  return pairs;
}

/** The value of a header in a list of names and values; the last when there are several. */
export function headerValue(rawHeaders: readonly string[], name: string): string | undefined {
  let value: string | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if ((rawHeaders[index] as string).toLowerCase() === name) value = rawHeaders[index + 1];
  }
  return value;
}

/** Servers in Python read `X_Forwarded_For` as the same variable as `X-Forwarded-For`, so both spellings go. */
function isDropped(name: string, dropped: ReadonlySet<string>, listed: readonly string[]): boolean {
  const lower = name.toLowerCase();
  if (dropped.has(lower) || listed.includes(lower)) return true;
  if (!lower.includes("_")) return false;
  const dashed = lower.replaceAll("_", "-");
  return dropped.has(dashed) || dashed === "content-length" || dashed === "host";
}

/** What `Connection` names besides itself is for this connection only, except what delimits or addresses the message. */
function connectionOptions(value: string | undefined): readonly string[] {
  if (value === undefined || value === "keep-alive" || value === "close") return [];
  return value
    .toLowerCase()
    .split(",")
    .map((option) => option.trim())
    .filter((option) => option !== "content-length" && option !== "host");
}

function clientOf(request: IncomingMessage): string {
  const address = request.socket.remoteAddress ?? "unknown";
  return address.startsWith("::ffff:") ? address.slice(7) : address;
}

function count(rawHeaders: readonly string[], name: string): number {
  let found = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if ((rawHeaders[index] as string).toLowerCase() === name) found++;
  }
  return found;
}
