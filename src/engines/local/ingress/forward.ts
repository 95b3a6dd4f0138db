import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

import { answer, badAnswer, gone, noReplica, type OwnAnswer, replaced } from "./answers.ts";
import { type Placed, place, type RoutedService, type Search } from "./choose-target.ts";
import { hasBody, headerValue, passedTrailers, requestHead, responseHeaders } from "./message-heads.ts";
import { clientLeft, type ServiceCounts } from "./request-counts.ts";
import { type ResponseHead, ResponseParser, type ResponseSink } from "./response-parser.ts";
import type { ConnectionUse } from "./targets.ts";

/** A request's way to its service. */
export interface Way {
  readonly service: () => RoutedService | undefined;
  readonly target: string;
  readonly prefix: string | undefined;
  /** True when this process is being replaced: its clients are to come back on a new connection. */
  readonly leaving: () => boolean;
  readonly counts: ServiceCounts;
}

/**
 * Sends a request on to a replica of its service and the answer back, both as they come.
 *
 * A replica may close a connection that it kept open at the very moment we write to it, and then nobody can say whether
 * the request was read. So requests that must not happen twice, and those with a body (which is gone once sent), get a
 * connection of their own. All others take one that waits, and are sent again, once, when it closes without a byte.
 */
export function forward(request: IncomingMessage, response: ServerResponse, way: Way): void {
  const started = performance.now();
  const exchange = new Exchange(request, response, way);
  response.once("close", () => {
    exchange.end();
    way.counts.add(response.headersSent ? response.statusCode : clientLeft, performance.now() - started);
  });
  exchange.begin();
}

/** Bytes of a body that is made one text with its head: one write, which is most of what a small answer costs. */
const smallBody = 16 * 1024;

/** One request and its answer. A class, for it is made for each request, and closures cost more. */
class Exchange implements ConnectionUse, ResponseSink {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #way: Way;
  readonly #body: boolean;
  readonly #repeatable: boolean;
  #search: Search | undefined;
  #placed: Placed | undefined;
  #parser: ResponseParser | undefined;
  #secondTry = false;
  #answered = false;
  #done = false;
  #paused = false;
  /** The last piece of the body, until it is known whether more follows at once. */
  #held: Buffer | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, way: Way) {
    this.#request = request;
    this.#response = response;
    this.#way = way;
    this.#body = hasBody(request);
    this.#repeatable = !this.#body && isIdempotent(request.method);
  }

  begin(): void {
    this.#placed = undefined;
    this.#parser = undefined;
    this.#search = place({
      service: this.#way.service,
      use: this,
      reuse: this.#repeatable && !this.#secondTry,
      placed: (found) => this.#send(found),
      failed: (service) => this.#fail(service === undefined ? gone() : noReplica()),
    });
  }

  /** Ends the work on this request before its answer is whole. */
  end(): void {
    if (this.#done) return;
    this.#done = true;
    if (this.#placed === undefined) {
      this.#search?.giveUp();
    } else {
      this.#placed.connection.socket.destroy();
      this.#placed.target.release(this);
    }
  }

  #send(found: Placed): void {
    this.#placed = found;
    this.#parser = new ResponseParser(this.#request.method ?? "GET", this);
    const { socket } = found.connection;
    const head = requestHead(this.#request, {
      target: this.#way.target,
      prefix: this.#way.prefix,
      connection: this.#repeatable ? "keep-alive" : "close",
      defaultHost: found.target.key,
    });
    socket.write(head, "latin1");
    if (this.#body) startUpload(this.#request, socket);
  }

  // What the replica's connection tells.

  received(chunk: Buffer): void {
    if (this.#parser === undefined || this.#done) return;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.#fail(badAnswer((error as Error).message));
      return;
    }
    if (this.#answered) this.#finish();
    else if (this.#held !== undefined) this.#passHeld();
    else if (this.#response.headersSent) this.#response.flushHeaders();
  }

  drained(): void {
    if (this.#body && !this.#done) this.#request.resume();
  }

  ended(): void {
    // What the end of a connection without a byte means is decided when it is gone.
    if (this.#done || this.#parser?.begun !== true) return;
    try {
      this.#parser.close();
    } catch (error) {
      this.#fail(badAnswer((error as Error).message));
      return;
    }
    this.#finish();
  }

  closed(error: Error | undefined): void {
    if (this.#done) return;
    if (this.#placed?.reused === true && !this.#secondTry && this.#parser?.begun === false) {
      this.#secondTry = true;
      this.#placed.target.release(this);
      this.begin();
      return;
    }
    this.#fail(badAnswer(error?.message ?? "it closed the connection without an answer"));
  }

  cut(): void {
    if (this.#done) return;
    if (!this.#response.headersSent) {
      this.#fail(replaced());
      return;
    }
    this.end();
    // Only a body in chunks can end before its time and still be taken for whole.
    if (this.#response.chunkedEncoding) this.#response.end();
    else this.#response.destroy();
  }

  // What the answer consists of.

  interim(head: ResponseHead): void {
    passInterim(head, this.#request, this.#response);
  }

  head(head: ResponseHead): void {
    const { release } = (this.#placed as Placed).service;
    const chunked = head.chunked && this.#request.method !== "HEAD" && this.#request.httpVersionMinor > 0;
    const headers = responseHeaders(head.headers, release, { chunked });
    if (this.#way.leaving()) headers.push("Connection", "close");
    this.#response.sendDate = false;
    this.#response.writeHead(head.status, head.message, headers);
  }

  data(chunk: Buffer): void {
    this.#passHeld();
    this.#held = chunk;
  }

  trailers(trailers: readonly string[]): void {
    const held = this.#held;
    this.#held = undefined;
    this.#answered = true;
    if (trailers.length > 0 && this.#response.chunkedEncoding) {
      this.#response.addTrailers(passedTrailers(trailers) as [string, string][]);
    }
    if (held === undefined) this.#response.end();
    else if (held.length > smallBody) this.#response.end(Buffer.from(held));
    else this.#response.end(held.toString("latin1"), "latin1");
  }

  switched(): void {
    throw new Error("it switched protocols without being asked");
  }

  #passHeld(): void {
    if (this.#held === undefined) return;
    const more = this.#response.write(Buffer.from(this.#held));
    this.#held = undefined;
    if (more || this.#paused) return;
    this.#paused = true;
    this.#placed?.connection.socket.pause();
    this.#response.once("drain", () => {
      this.#paused = false;
      if (!this.#done) this.#placed?.connection.socket.resume();
    });
  }

  /** The answer is whole, and so the replica is done with; a slow client may still be reading. */
  #finish(): void {
    this.#done = true;
    const { target, connection } = this.#placed as Placed;
    if (this.#repeatable && this.#parser?.reusable === true) {
      if (this.#paused) connection.socket.resume();
      target.keep(connection);
    } else {
      connection.socket.destroy();
    }
    target.release(this);
  }

  #fail(own: OwnAnswer): void {
    if (this.#done) return;
    this.end();
    if (this.#response.headersSent) this.#response.destroy();
    else answer(this.#response, own, { close: this.#way.leaving() });
  }
}

function isIdempotent(method: string | undefined): boolean {
  return (
    method === "GET" || method === "HEAD" || method === "OPTIONS" || method === "PUT" || method === "DELETE"
  );
}

/** The body as it comes, no faster than the replica takes it: paused here, resumed when the connection has drained. */
function startUpload(request: IncomingMessage, socket: Socket): void {
  const chunked = request.headers["transfer-encoding"] !== undefined;
  request.on("data", (chunk: Buffer) => {
    if (socket.destroyed) return;
    if (chunked) socket.write(`${chunk.length.toString(16)}\r\n`, "latin1");
    const more = socket.write(chunk);
    if (chunked) socket.write("\r\n", "latin1");
    if (!more) request.pause();
  });
  request.once("end", () => {
    if (!chunked || socket.destroyed) return;
    const trailers = passedTrailers(request.rawTrailers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`0\r\n${trailers.join("")}\r\n`, "latin1");
  });
}

/** 100 only to clients that wait for it, and early hints as far as Node can send them. */
function passInterim(head: ResponseHead, request: IncomingMessage, response: ServerResponse): void {
  if (response.headersSent || request.httpVersionMinor === 0) return;
  if (head.status === 100 && request.headers.expect !== undefined) response.writeContinue();
  if (head.status === 102) response.writeProcessing();
  const link = headerValue(head.headers, "link");
  if (head.status !== 103 || link === undefined) return;
  try {
    response.writeEarlyHints({ link });
  } catch {
    // Node takes fewer forms of the header than there are. It is a hint: the answer itself is not worse without it.
  }
}
