import { createServer, request } from "node:http";
import { listening } from "../../http/support/cutting-proxy.ts";

export interface Answer {
  /** `GET /api/v1/runs`, without what follows a `?`. */
  readonly to: string;
  readonly status: number;
  readonly body: string;
}

export interface RecordingProxy {
  readonly url: string;
  /** Those that have ended. */
  readonly answers: readonly Answer[];
}

/** Passes requests on to a server and keeps its answers; goes with the test. */
export async function recordingProxy(target: string): Promise<RecordingProxy> {
  const answers: Answer[] = [];
  const server = createServer((asked, answer) => {
    const { method = "", url = "", headers } = asked;
    const onward = request(`${target}${url}`, { method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      const { statusCode: status = 0 } = response;
      answer.writeHead(status, response.headers);
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        answer.write(chunk);
      });
      response.once("close", () => {
        answers.push({
          to: `${method} ${url.replace(/\?.*/, "")}`,
          status,
          body: Buffer.concat(chunks).toString(),
        });
        answer.end();
      });
    });
    onward.once("error", () => answer.destroy());
    answer.once("close", () => onward.destroy());
    asked.pipe(onward);
  });
  return { url: `http://127.0.0.1:${await listening(server)}`, answers };
}
