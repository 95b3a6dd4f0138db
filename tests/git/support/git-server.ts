import { spawn } from "node:child_process";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface GitServer {
  /** `ADDRESS:PORT` */
  readonly host: string;
  /** Method, path and the Authorization header of each request. */
  readonly requests: { readonly path: string; readonly authorization: string | undefined }[];
  /** Ends all connections; the server goes on. */
  hangUp(): void;
}

export interface GitServerOptions {
  /** Of this machine, where it listens; the loopback address by default. */
  readonly address?: string;
  /** Repositories below this folder are served by `git http-backend`. */
  readonly root?: string;
  /** Who does not send these is asked for them. */
  readonly credentials?: { readonly username: string; readonly password: string };
  /** Answers the request itself when it returns true. */
  readonly instead?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Bytes of each answer that are sent before the server falls silent; all when undefined. */
  readonly silentAfter?: () => number | undefined;
}

/** A Git server over http; it ends with the test. */
export async function startGitServer(options: GitServerOptions): Promise<GitServer> {
  const requests: GitServer["requests"] = [];
  const server = createServer((request, response) => {
    requests.push({ path: request.url ?? "", authorization: request.headers.authorization });
    if (options.instead?.(request, response) === true) return;
    const { credentials } = options;
    if (credentials !== undefined && request.headers.authorization !== basic(credentials)) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
      return;
    }
    serve(request, response, options);
  });
  const { address = "127.0.0.1" } = options;
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  onTestFinished(() => stop(server));
  return {
    host: `${address}:${(server.address() as AddressInfo).port}`,
    requests,
    hangUp: () => server.closeAllConnections(),
  };
}

export function basic({
  username,
  password,
}: {
  readonly username: string;
  readonly password: string;
}): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** One request through `git http-backend`, which is a CGI program. */
function serve(request: IncomingMessage, response: ServerResponse, options: GitServerOptions): void {
  const url = new URL(request.url ?? "/", "http://localhost");
  const backend = spawn("git", ["http-backend"], {
    stdio: ["pipe", "pipe", "ignore"],
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: options.root ?? "/nowhere",
      GIT_HTTP_EXPORT_ALL: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
      HTTP_GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
    },
  });
  request.pipe(backend.stdin).on("error", () => undefined);
  let left = options.silentAfter?.() ?? Number.POSITIVE_INFINITY;
  const send = (chunk: Buffer): void => {
    if (left > 0) response.write(chunk.subarray(0, left));
    left -= chunk.length;
  };
  response.on("close", () => backend.kill());
  let head: Buffer | undefined = Buffer.alloc(0);
  backend.stdout.on("data", (chunk: Buffer) => {
    if (head === undefined) {
      send(chunk);
      return;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    const headers = head
      .subarray(0, end)
      .toString()
      .split("\r\n")
      .map((line) => line.split(/: (.*)/s));
    const status = headers.find(([name]) => name === "Status")?.[1] ?? "200";
    response.writeHead(
      Number.parseInt(status, 10),
      Object.fromEntries(
        headers.flatMap(([name = "", value = ""]) => (name === "Status" ? [] : [[name, value]])),
      ),
    );
    send(head.subarray(end + 4));
    head = undefined;
  });
  backend.on("close", () => {
    if (left >= 0) response.end();
  });
}

async function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
