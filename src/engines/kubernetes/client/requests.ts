import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

import { Failure } from "../../../core/failure.ts";
import { answerError, type Doing } from "./answers.ts";
import { ClusterError } from "./cluster.ts";
import type { Credentials } from "./credentials.ts";
import { nextTry, patienceOf, type Trouble, troubleOf, troubleOfConnection } from "./retry.ts";
import { type HttpRequest, NoAnswer, type Transport } from "./transport.ts";

export interface Call extends Pick<HttpRequest, "method" | "path" | "body"> {
  readonly doing: Doing;
  /** Ends it, whatever it waits for. */
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds. */
export interface RequestTimes {
  /** How long a call goes on when the API server does not answer, or is busy. */
  readonly patience: number;
  /** The same as long as there was no answer at all, so that a wrong address is told soon. */
  readonly firstPatience: number;
  /** How long one request may take, and how long the rest of an answer may keep silent. */
  readonly requestTime: number;
}

export type Reply<T> = {
  /** A try before it may have been carried out, though its answer never came. */
  readonly repeated: boolean;
} & ({ readonly value: T } | { readonly error: ClusterError });

/** Calls that go on until there is an answer that counts, or patience ends. Fails besides: engine-unavailable. */
export interface Requests {
  /** The answer's JSON. Fails: ClusterError; the signal's reason. */
  json(call: Call): Promise<unknown>;
  /** The same, with the error as a value. */
  reply(call: Call): Promise<Reply<unknown>>;
  /** The answer's body, to be read as it comes. Fails: ClusterError; the signal's reason. */
  stream(call: Call): Promise<IncomingMessage>;
  close(): void;
}

export function createRequests(
  transport: Transport,
  credentials: Credentials,
  server: string,
  times: RequestTimes,
): Requests {
  const closing = new AbortController();
  let hasAnswered = false;

  const untilClosed = ({ signal }: Call): AbortSignal =>
    signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]);
  const parsed = async (body: IncomingMessage): Promise<unknown> =>
    JSON.parse(await textOf(body, times.requestTime));
  const reply = (call: Call): Promise<Reply<unknown>> => carryOut(call, untilClosed(call), parsed);
  return {
    reply,
    json: async (call) => successOf(await reply(call)),
    stream: async (call) => successOf(await carryOut(call, untilClosed(call), async (body) => body)),
    close() {
      closing.abort(new ClusterError("unreachable", "The connection to the cluster is closed"));
      transport.close();
    },
  };

  async function carryOut<T>(
    call: Call,
    signal: AbortSignal,
    read: (body: IncomingMessage) => Promise<T>,
  ): Promise<Reply<T>> {
    const begun = performance.now();
    let isReloaded = false;
    for (let tries = 1; ; tries++) {
      const repeated = tries > (isReloaded ? 2 : 1);
      const elapsed = performance.now() - begun;
      const tried = await tryOnce(call, signal, read, elapsed);
      if ("value" in tried) return { value: tried.value, repeated };
      const { error, trouble, retryAfter } = tried;
      if (error.kind === "unauthorized" && !isReloaded) {
        isReloaded = true;
        credentials.reload();
        continue;
      }
      const patience = patienceOf(
        hasAnswered ? times.patience : Math.min(times.firstPatience, times.patience),
      );
      const delay = nextTry(trouble, tries, performance.now() - begun, retryAfter, patience, Math.random());
      if (delay === undefined) return { error, repeated };
      await pause(delay, signal);
    }
  }

  async function tryOnce<T>(
    call: Call,
    signal: AbortSignal,
    read: (body: IncomingMessage) => Promise<T>,
    elapsed: number,
  ): Promise<Tried<T>> {
    const left = hasAnswered ? times.patience : times.firstPatience - elapsed;
    const headTime = Math.max(1, Math.min(times.requestTime, left));
    try {
      const { status, retryAfter, body } = await transport.send({ ...call, headTime, signal });
      if (status >= 200 && status < 300) {
        const value = await read(body);
        hasAnswered = true;
        return { value };
      }
      const text = await textOf(body, times.requestTime);
      const trouble = troubleOf(status, text);
      // A proxy before the server, or the server while it starts, tells nothing of the address.
      hasAnswered ||= trouble !== "passing";
      return { error: answerError(status, text, call.doing), trouble, retryAfter };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Failure) throw error;
      return brokenConnection(error, server);
    }
  }
}

type Tried<T> =
  | { readonly value: T }
  | { readonly error: ClusterError; readonly trouble: Trouble; readonly retryAfter?: number | undefined };

function successOf<T>(reply: Reply<T>): T {
  if ("error" in reply) throw reply.error;
  return reply.value;
}

function brokenConnection(error: unknown, server: string): Tried<never> {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return {
    error: new ClusterError("unreachable", `${server}: ${reasonOf(error, code)}`, { cause: error }),
    trouble: troubleOfConnection(code),
  };
}

/** Several addresses were tried: the error has no message, but one for each. */
function reasonOf(error: unknown, code: string): string {
  if (error instanceof AggregateError)
    return [...new Set(error.errors.map((one) => reasonOf(one, "")))].join(", ");
  if (error instanceof SyntaxError) return "the answer is no JSON";
  return (error instanceof Error ? error.message : String(error)) || code;
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal });
  } catch {
    signal.throwIfAborted();
  }
}

async function textOf(body: IncomingMessage, silence: number): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of chunksOf(body, silence)) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * What comes, as it comes. Fails: NoAnswer when nothing has come for `silence` milliseconds (undefined: it may keep
 * silent); as the connection does; the signal's reason.
 */
export async function* chunksOf(
  body: IncomingMessage,
  silence: number | undefined,
  signal?: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  const onAbort = (): void => {
    body.destroy();
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  const timer =
    silence === undefined
      ? undefined
      : setTimeout(() => {
          body.destroy(new NoAnswer(`nothing came for ${silence / 1000} seconds`));
        }, silence);
  try {
    signal?.throwIfAborted();
    for await (const chunk of body) {
      yield chunk as Buffer;
      timer?.refresh();
    }
    signal?.throwIfAborted();
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
    body.destroy();
  }
}
