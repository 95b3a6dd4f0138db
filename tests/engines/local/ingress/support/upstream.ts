import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTcpServer, type Server as NetServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import type { Address } from "../../../../../src/engines/local/addresses.ts";
import { loopbackAddress } from "./routes.ts";

/** A replica in this process. */
export async function startUpstream(
  listener: RequestListener,
): Promise<{ address: Address; server: Server }> {
  const server = createServer(listener);
  const address = await listenOn(server);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { address, server };
}

/** A replica that speaks what it is told to, byte by byte. */
export async function startTcpUpstream(onConnection: (socket: Socket) => void): Promise<Address> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    onConnection(socket);
  });
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return listenOn(server);
}

/** Answers every request with this text, once its head has come. */
export function startCannedUpstream(answer: string | Buffer): Promise<Address> {
  return startTcpUpstream((socket) => {
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (!text.includes("\r\n\r\n")) return;
      text = "";
      socket.write(answer);
    });
  });
}

export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function listenOn(server: NetServer): Promise<Address> {
  const address = loopbackAddress();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(address, () => resolve(address));
  });
}
