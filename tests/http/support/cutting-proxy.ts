import { connect, createServer, type Server, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export interface CuttingProxy {
  readonly api: string;
  /** Cuts all connections. */
  cut(): void;
  /** All that the server has answered. */
  answers(): string;
}

/** Passes bytes on, of each answer no more than `most(n)` on the n-th connection (from 0), until it cuts them. */
export async function cuttingProxy(
  port: number,
  most: (connection: number) => number = () => Number.POSITIVE_INFINITY,
): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  const answered: Buffer[] = [];
  let connections = 0;
  const server = createServer((socket) => {
    const onward = connect(port, "127.0.0.1");
    let left = most(connections++);
    for (const one of [socket, onward]) {
      sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        socket.destroy();
        onward.destroy();
      });
    }
    socket.pipe(onward);
    onward.on("data", (bytes: Buffer) => {
      answered.push(bytes);
      socket.write(bytes.subarray(0, left), () => {
        if (left <= 0) socket.destroy();
      });
      left -= bytes.length;
    });
    onward.on("end", () => socket.end());
  });
  return {
    api: `http://127.0.0.1:${await listening(server)}`,
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    answers: () => Buffer.concat(answered).toString(),
  };
}

/** The port of a server on loopback that goes, with its connections, when the test has finished. */
export async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
