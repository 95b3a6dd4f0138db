import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

export interface LoadResult {
  readonly answered: number;
  /** What went wrong, by its message, with how often. */
  readonly failures: ReadonlyMap<string, number>;
  /** Answers by their text. */
  readonly answers: ReadonlyMap<string, number>;
}

/**
 * Asks one URL again and again over a few connections, GET and POST in turn, until told to stop. Anything but 200 is a
 * failure. Each connection rests for `pause` milliseconds between two requests: without, it takes what processor there
 * is from what is being tested.
 */
export function steadyLoad(url: string, connections = 4, pause = 0): { stop(): Promise<LoadResult> } {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const failures = new Map<string, number>();
  const answers = new Map<string, number>();
  let answered = 0;
  let stopped = false;
  const count = (map: Map<string, number>, key: string): void => {
    map.set(key, (map.get(key) ?? 0) + 1);
  };
  const worker = async (): Promise<void> => {
    for (let turn = 0; !stopped; turn++) {
      if (pause > 0) await sleep(pause);
      try {
        const { status, text } = await ask(url, turn % 2 === 0 ? "GET" : "POST", agent);
        if (status === 200) {
          answered += 1;
          count(answers, text);
        } else {
          count(failures, `${status} ${text.slice(0, 100)}`);
        }
      } catch (error) {
        count(failures, error instanceof Error ? error.message : String(error));
      }
    }
  };
  const workers = Array.from({ length: connections }, worker);
  return {
    async stop() {
      stopped = true;
      await Promise.all(workers);
      agent.destroy();
      return { answered, failures, answers };
    },
  };
}

function ask(url: string, method: string, agent: Agent): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
      );
    });
    asked.once("error", reject);
    asked.end(method === "POST" ? "{}" : undefined);
  });
}
