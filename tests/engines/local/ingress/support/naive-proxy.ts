import { Agent, createServer, request } from "node:http";
import { onTestFinished } from "vitest";
import type { Address } from "../../../../../src/engines/local/addresses.ts";
import { loopbackAddress } from "./routes.ts";

/** What one writes first: every request on a connection that is kept open, and none sent again. */
export async function startNaiveProxy(target: Address): Promise<Address> {
  const agent = new Agent({ keepAlive: true });
  const server = createServer((incoming, outgoing) => {
    const { method, url, headers } = incoming;
    const asked = request({ ...target, method, path: url, headers, agent }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.rawHeaders);
      response.pipe(outgoing);
    });
    asked.on("error", () => {
      if (!outgoing.headersSent) outgoing.writeHead(502);
      outgoing.end();
    });
    incoming.pipe(asked);
  });
  const address = loopbackAddress();
  await new Promise<void>((resolve) => server.listen(address, resolve));
  onTestFinished(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  return address;
}
