import { type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import type { Address } from "../../../../../src/engines/local/addresses.ts";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly trailers: NodeJS.Dict<string>;
}

export interface AskOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** One request on a connection of its own. */
export async function ask(address: Address, path: string, options: AskOptions = {}): Promise<Answer> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const { method = "GET", headers = {}, body } = options;
    const asked = request({ ...address, path, method, headers, agent: false }, resolve);
    asked.once("error", reject);
    asked.end(body);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: Buffer.concat(chunks).toString(),
    trailers: response.trailers,
  };
}

/** What comes back for these bytes until the connection closes, or nothing more comes for a while. */
export function askRaw(address: Address, bytes: string | Buffer, quietMilliseconds = 300): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(address, () => socket.write(bytes));
    const end = (): void => {
      socket.destroy();
      resolve(text);
    };
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
    });
    socket.setTimeout(quietMilliseconds, end);
    socket.on("error", end);
    socket.on("close", end);
  });
}
