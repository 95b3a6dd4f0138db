import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "../../../../../src/engines/local/addresses.ts";

/** `slow` is a POST too: a GET that is cut off without an answer may be sent again, and would hide what is lost. */
export type RequestKind = "GET" | "POST" | "slow" | "upload";

export interface LoadOptions {
  readonly address: Address;
  /** Of the service; `slow` is asked below it. */
  readonly path: string;
  /** Each client sends these in turn. */
  readonly kinds: readonly RequestKind[];
  readonly connections: number;
  /** Milliseconds between an answer and the next request of a client, at most. */
  readonly thinkTime?: number;
  readonly agent?: Agent;
}

export interface LoadResult {
  readonly answered: number;
  /** What went wrong → how often: `ECONNRESET`, `502`. */
  readonly failures: Readonly<Record<string, number>>;
  /** Releases that answered. */
  readonly releases: readonly string[];
  /** Milliseconds of the slowest answer to a plain GET or POST. */
  readonly slowest: number;
}

/** Clients with one kept connection each, which ask again as soon as they have been answered. */
export interface Load {
  answered(): number;
  /** Resolves when this many were answered. */
  until(count: number): Promise<void>;
  stop(): Promise<LoadResult>;
}

const uploadBody = Buffer.alloc(512 * 1024, "u");

export function startLoad(options: LoadOptions): Load {
  const agent = options.agent ?? new Agent({ keepAlive: true, maxSockets: options.connections });
  const failures: Record<string, number> = {};
  const releases = new Set<string>();
  let answered = 0;
  let slowest = 0;
  let stopped = false;
  const clients = Array.from({ length: options.connections }, async (_, client) => {
    for (let turn = client; !stopped; turn++) {
      const kind = options.kinds[turn % options.kinds.length] as RequestKind;
      const started = performance.now();
      const outcome = await send(kind);
      if ("release" in outcome) {
        answered++;
        releases.add(outcome.release);
        if (kind === "GET" || kind === "POST") slowest = Math.max(slowest, performance.now() - started);
      } else {
        failures[outcome.failure] = (failures[outcome.failure] ?? 0) + 1;
      }
      if (options.thinkTime !== undefined) await sleep(1 + Math.random() * options.thinkTime);
    }
  });

  return {
    answered: () => answered,
    async until(count) {
      for (const deadline = Date.now() + 120_000; answered < count; await sleep(5)) {
        if (Date.now() > deadline) throw new Error(`only ${answered} of ${count} requests were answered`);
      }
    },
    async stop() {
      stopped = true;
      await Promise.all(clients);
      if (options.agent === undefined) agent.destroy();
      return { answered, failures, releases: [...releases].sort(), slowest };
    },
  };

  function send(kind: RequestKind): Promise<{ readonly release: string } | { readonly failure: string }> {
    const body = kind === "upload" ? uploadBody : kind === "GET" ? undefined : Buffer.from("a small body");
    const path = options.path + (kind === "slow" ? "slow" : "");
    return new Promise((resolve) => {
      const asked = request(
        {
          ...options.address,
          path,
          agent,
          method: body === undefined ? "GET" : "POST",
          headers: body === undefined ? {} : { "Content-Length": body.length },
        },
        (response) => {
          let length = 0;
          response.on("data", (chunk: Buffer) => {
            length += chunk.length;
          });
          response.on("error", (error: NodeJS.ErrnoException) =>
            resolve({ failure: error.code ?? error.message }),
          );
          response.on("end", () => {
            if (response.statusCode !== 200) resolve({ failure: String(response.statusCode) });
            else if (length === 0) resolve({ failure: "empty" });
            else resolve({ release: String(response.headers["x-bodywork-release"]) });
          });
        },
      );
      asked.on("error", (error: NodeJS.ErrnoException) => resolve({ failure: error.code ?? error.message }));
      asked.end(body);
    });
  }
}
