import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

import { answer, badAnswer, gone, noReplica, type OwnAnswer, replaced } from "./answers.ts";
import { type Placed, place, type RoutedService, type Search } from "./choose-target.ts";
import { hasBody, headerValue, passedTrailers, requestHead, responseHeaders } from "./message-heads.ts";
import {
  type ResponseHead,
  type ResponseParser,
  type ResponseSink,
} from "./response-parser.ts";
import type { ConnectionUse } from "./targets.ts";

/** A request's way to its service. */
export interface Way {
  readonly service: () => RoutedService | undefined;
  readonly target: string;
  readonly prefix: string | undefined;
  /** True when this process is being replaced: its clients are to come back on a new connection. */
  readonly leaving: () => boolean;
}

/** Bytes. */
const smallBody = 16 * 1024;

/**
 * Sends a request on to a replica of its service and the answer back, both as they come.
 *
 * A replica may close a connection that it kept open at the very moment we write to it, and then nobody can say whether
 * the request was read. So requests that must not happen twice, and those with a body (which is gone once sent), get a
 * connection of their own. All others take one that waits, and are sent again, once, when it closes without a byte.
 */
export function forward(request: IncomingMessage, response: ServerResponse, way: Way): void {
  const body = hasBody(request);
  const repeatable = !body && isIdempotent(request.method);
  let placed: Placed | undefined;
  let parser: ResponseParser | undefined;
  let upload: Upload | undefined;
  let search: Search | undefined;
  let secondTry = false;
  let done = false;
  let answered = false;
  /** The last piece of the body, until it is known whether more follows at once. */
  let held: Buffer | undefined;
  let paused = false;

  const use: ConnectionUse = {
    received(chunk) {
      if (parser === undefined || done) return;
      try {
        parser.push(chunk);
      } catch (error) {
        fail(badAnswer((error as Error).message));
        return;
      }
      if (answered) finish();
      else if (held !== undefined) passHeld();
      else if (response.headersSent) response.flushHeaders();
    },
    drained: () => upload?.resume(),
    ended() {
      if (done || parser === undefined) return;
      if (!parser.begun) return; // What it means is decided when the connection is gone.
      try {
        parser.close();
        finish();
      } catch (error) {
        fail(badAnswer((error as Error).message));
      }
    },
    closed(error) {
      if (done) return;
      if (placed?.reused === true && !secondTry && parser?.begun === false) {
        secondTry = true;
        placed.target.release(use);
        begin();
        return;
      }
      fail(badAnswer(error?.message ?? "it closed the connection without an answer"));
    },
    cut() {
      if (done) return;
      if (!response.headersSent) fail(replaced());
      else if (response.chunkedEncoding) end(() => response.end());
      else end(() => response.destroy());
    },
  };

  const sink: ResponseSink = {
    interim(head) {
      passInterim(head, request, response);
    },
    head(head) {
      const { release } = (placed as Placed).service;
      const chunked = head.chunked && request.method !== "HEAD" && request.httpVersionMinor > 0;
      const headers = responseHeaders(head.headers, release, { chunked });
      if (way.leaving()) headers.push("Connection", "close");
      response.sendDate = false;
      response.writeHead(head.status, head.message, headers);
    },
    data(chunk) {
      passHeld();
      held = chunk;
    },
    end(trailers) {
      answered = true;
      if (trailers.length > 0 && response.chunkedEncoding) {
        response.addTrailers(passedTrailers(trailers) as [string, string][]);
      }
      // Head and body as one text are one write, which is most of what a small answer costs.
      if (held === undefined) response.end();
      else if (held.length > smallBody) response.end(held);
      else response.end(held.toString("latin1"), "latin1");
      held = undefined;
    },
    switched() {
      throw new Error("it switched protocols without being asked");
    },
  };

  response.once("close", () => end(() => {}));
  begin();

  function begin(): void {
    placed = undefined;
    parser = undefined;
    search = place({
      service: way.service,
      use,
      reuse: repeatable && !secondTry,
      placed: send,
      failed: (service) => fail(service === undefined ? gone() : noReplica()),
    });
  }

  function send(found: Placed): void {
    placed = found;
    parser = new ResponseParser(request.method ?? "GET", sink);
    const { socket } = found.connection;
    const { target, prefix } = way;
    const connection = repeatable ? "keep-alive" : "close";
    socket.write(
      requestHead(request, { target, prefix, connection, defaultHost: found.target.key }),
      "latin1",
    );
    if (body) upload = startUpload(request, socket);
  }

  function passHeld(): void {
    if (held === undefined) return;
    const more = response.write(held);
    held = undefined;
    if (more || paused) return;
    paused = true;
    (placed as Placed).connection.socket.pause();
    response.once("drain", () => {
      paused = false;
      if (!done) placed?.connection.socket.resume();
    });
  }

  /** The answer is whole, and so the replica is done with; a slow client may still be reading. */
  function finish(): void {
    done = true;
    const { target, connection } = placed as Placed;
    if (repeatable && parser?.reusable === true) {
      connection.socket.resume();
      target.keep(connection);
    } else {
      connection.socket.destroy();
    }
    target.release(use);
  }

  function fail(own: OwnAnswer): void {
    end(() => {
      if (response.headersSent) response.destroy();
      else answer(response, own, { close: way.leaving() });
    });
  }

  /** Ends the work on this request before its answer is whole. */
  function end(tellClient: () => void): void {
    if (done) return;
    done = true;
    if (placed === undefined) {
      search?.giveUp();
    } else {
      placed.connection.socket.destroy();
      placed.target.release(use);
    }
    tellClient();
  }
}

function isIdempotent(method: string | undefined): boolean {
  return (
    method === "GET" || method === "HEAD" || method === "OPTIONS" || method === "PUT" || method === "DELETE"
  );
}

interface Upload {
  resume(): void;
}

/** The body as it comes, no faster than the replica takes it. */
function startUpload(request: IncomingMessage, socket: Socket): Upload {
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
  return { resume: () => request.resume() };
}

/** 100 only to clients that wait for it, and early hints in the form that Node can send. */
function passInterim(head: ResponseHead, request: IncomingMessage, response: ServerResponse): void {
  if (response.headersSent || request.httpVersionMinor === 0) return;
  if (head.status === 100 && request.headers.expect !== undefined) response.writeContinue();
  if (head.status === 102) response.writeProcessing();
  const link = headerValue(head.headers, "link");
  if (head.status === 103 && link !== undefined) response.writeEarlyHints({ link });
}
