import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

import { answerText, badAnswer, gone, headText, noReplica, type OwnAnswer, replaced } from "./answers.ts";
import { type Placed, place, type Search } from "./choose-target.ts";
import type { Way } from "./forward.ts";
import { headerValue, requestHead, responseHeaders } from "./message-heads.ts";
import { clientLeft } from "./request-counts.ts";
import { type ResponseHead, ResponseParser } from "./response-parser.ts";
import type { ConnectionUse } from "./targets.ts";
import { type FrameFollower, followFrames, goingAway } from "./websocket-frames.ts";

/** Milliseconds that one side has for its last words after the other has closed. */
const lingerTime = 2_000;

/**
 * Sends a request to switch protocols (a websocket) on to a replica of its service. Once the replica has switched, bytes
 * go both ways as they come; when it answers anything else, that answer is passed on and the connection closed.
 */
export function forwardUpgrade(request: IncomingMessage, client: Duplex, first: Buffer, way: Way): void {
  const started = performance.now();
  let placed: Placed | undefined;
  let parser: ResponseParser | undefined;
  let frames: FrameFollower | undefined;
  let search: Search | undefined;
  let stage: "asking" | "answering" | "tunnel" | "done" = "asking";

  const toClient = (bytes: Buffer): void => {
    frames?.push(bytes);
    if (!client.write(Buffer.from(bytes))) placed?.connection.socket.pause();
  };
  const use: ConnectionUse = {
    received(chunk) {
      if (stage === "done") return;
      if (stage === "tunnel") {
        toClient(chunk);
        return;
      }
      try {
        parser?.push(chunk);
      } catch (error) {
        fail(badAnswer((error as Error).message));
      }
    },
    drained: () => client.resume(),
    ended() {
      if (stage === "tunnel") client.end();
      else if (stage === "answering") end(() => client.end());
    },
    closed(error) {
      if (stage === "asking") fail(badAnswer(error?.message ?? "it closed the connection without an answer"));
      else end(() => (error === undefined ? endSoon(client) : client.destroy()));
    },
    cut() {
      if (stage === "asking") {
        fail(replaced());
        return;
      }
      end(() => {
        if (frames?.betweenFrames() === true) client.write(goingAway);
        endSoon(client);
      });
    },
  };

  client.on("error", () => client.destroy());
  client.on("drain", () => placed?.connection.socket.resume());
  client.once("close", () => {
    if (stage === "asking") count(clientLeft);
    end(() => {});
  });
  client.on("data", (chunk: Buffer) => {
    if (stage === "tunnel" && placed?.connection.socket.write(chunk) === false) client.pause();
  });
  client.once("end", () => {
    placed?.connection.socket.end();
    setTimeout(() => end(() => client.destroy()), lingerTime).unref();
  });
  // Nothing of what follows the request is passed on before the replica has agreed to read it as something else.
  client.pause();
  search = place({
    service: way.service,
    use,
    reuse: false,
    placed: send,
    failed: (service) => fail(service === undefined ? gone() : noReplica()),
  });

  function send(found: Placed): void {
    placed = found;
    parser = new ResponseParser("GET", {
      interim: () => {},
      head(head) {
        stage = "answering";
        count(head.status);
        client.write(responseText(head, found.service.release, ["Connection", "close"]), "latin1");
      },
      data: toClient,
      trailers: () => end(() => endSoon(client)),
      switched,
    });
    const head = requestHead(request, {
      target: way.target,
      prefix: way.prefix,
      connection: "upgrade",
      defaultHost: found.target.key,
    });
    found.connection.socket.write(head, "latin1");
  }

  function switched(head: ResponseHead, rest: Buffer): void {
    const { connection, service } = placed as Placed;
    stage = "tunnel";
    count(head.status);
    const protocol = headerValue(head.headers, "upgrade") ?? "";
    client.write(
      responseText(head, service.release, ["Upgrade", protocol, "Connection", "Upgrade"]),
      "latin1",
    );
    if (protocol.toLowerCase() === "websocket") frames = followFrames();
    if (rest.length > 0) toClient(rest);
    if (first.length > 0) connection.socket.write(first);
    client.resume();
  }

  function fail(own: OwnAnswer): void {
    if (stage === "asking") count(own.status);
    end(() => {
      client.write(answerText(own));
      endSoon(client);
    });
  }

  /** Once, when it is known how it is answered: how long a websocket stays open says nothing of its service. */
  function count(status: number): void {
    way.counts.add(status, performance.now() - started);
  }

  function end(tellClient: () => void): void {
    if (stage === "done") return;
    stage = "done";
    if (placed === undefined) {
      search?.giveUp();
    } else {
      placed.connection.socket.destroy();
      placed.target.release(use);
    }
    tellClient();
  }
}

/** The end of what was written, then the connection, also when the client does not close its side. */
function endSoon(client: Duplex): void {
  client.end();
  client.resume();
  setTimeout(() => client.destroy(), lingerTime).unref();
}

function responseText(head: ResponseHead, release: string, more: readonly string[]): string {
  const kept = responseHeaders(head.headers, release, { chunked: false });
  return headText(head.status, head.message, [...kept, ...more]);
}
