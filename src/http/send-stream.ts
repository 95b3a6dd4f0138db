import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { FastifyReply } from "fastify";

import { Failure } from "../core/failure.ts";
import { failureBody } from "./failure-response.ts";

export interface StreamOptions {
  readonly contentType: string;
  /** JSON lines: an empty one goes out at every beat, and a failure is the last. Else only the bytes. */
  readonly lines: boolean;
  /** Asked at every beat; false ends the connection. */
  readonly stillAllowed: () => boolean;
  /** Milliseconds between two signs of life: who hears none knows that the connection is dead. */
  readonly beat: number;
}

/** Beats in which a reader takes nothing after which it is left. */
const mostStalledBeats = 4;
/** Milliseconds in which the first line may fail with a status of its own. */
const statusTime = 1_000;

/**
 * Sends what comes, as it comes and no faster than it is read, until its end. What ends early is cut, so that nobody takes
 * it for whole. Rejects, having sent nothing, when it fails at once.
 */
export async function sendStream(
  reply: FastifyReply,
  parts: AsyncIterable<string | Uint8Array>,
  { contentType, lines, stillAllowed, beat }: StreamOptions,
): Promise<void> {
  const source = parts[Symbol.asyncIterator]();
  const first = source.next();
  await (lines ? settledWithin(statusTime, first) : first);
  reply.hijack();
  const out = reply.raw;
  out.writeHead(200, { ...reply.getHeaders(), "content-type": contentType } as OutgoingHttpHeaders);
  out.flushHeaders();
  let [sent, sentAtBeat, stalled] = [0, 0, 0];
  const isAllowed = (): boolean => {
    try {
      return stillAllowed();
    } catch {
      return false; // A store that can't be read must not end the server, and lets nobody go on.
    }
  };
  const beating = setInterval(() => {
    stalled = out.writableNeedDrain && sent === sentAtBeat ? stalled + 1 : 0;
    sentAtBeat = sent;
    if (!isAllowed() || stalled >= mostStalledBeats) out.destroy();
    else if (lines && !out.writableNeedDrain) out.write("\n");
  }, beat);
  try {
    for (let part = await first; part.done !== true && !out.destroyed; part = await source.next()) {
      if (!out.write(part.value)) await drained(out);
      sent++;
    }
    out.end();
  } catch (error) {
    if (lines && error instanceof Failure) out.end(`${JSON.stringify(failureBody(error))}\n`);
    else out.destroy();
  } finally {
    clearInterval(beating);
    await source.return?.();
  }
}

/** Rejects when the promise does so in that time. */
async function settledWithin(milliseconds: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  try {
    await Promise.race([promise, passed]);
  } finally {
    clearTimeout(timer);
  }
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
