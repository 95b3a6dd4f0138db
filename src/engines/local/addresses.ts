import { createServer } from "node:net";

import { Failure } from "../../core/failure.ts";

/** Where something listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Finds addresses that nobody listens on. */
export interface Addresses {
  /** A loopback address for a server that thinks it has `port` for itself. `taken` are addresses given out already. */
  choose(port: number, taken: ReadonlySet<string>): Promise<Address>;
}

/**
 * Linux answers on all of 127.0.0.0/8, so each replica and each service gets an address of its own and keeps its port;
 * where there is only 127.0.0.1 the port changes instead. 127.64.0.0 to 127.127.255.255 is used, with addresses drawn by
 * chance, for other home folders (and other users) do the same.
 */
export async function createAddresses(random: () => number = Math.random): Promise<Addresses> {
  const many = await canListen({ host: "127.71.0.1", port: 0 });
  return {
    async choose(port, taken) {
      for (let attempt = 0; attempt < 50; attempt++) {
        const address = many ? { host: randomHost(random), port } : await freePort();
        if (!taken.has(address.host) && !taken.has(addressKey(address)) && (await canListen(address)))
          return address;
      }
      throw new Failure(
        "port-taken",
        `Cannot find a free loopback address for port ${port}: 50 were taken.`,
        {
          hint:
            port < 1024
              ? "Ports below 1024 need a privilege that this user has not."
              : "bodywork server status",
        },
      );
    },
  };
}

export function addressKey({ host, port }: Address): string {
  return `${host}:${port}`;
}

/** No address ends in 0 or 255: some programs take those for networks. */
function randomHost(random: () => number): string {
  const part = (from: number, count: number): number => from + Math.floor(random() * count);
  return `127.${part(64, 64)}.${part(0, 256)}.${part(1, 254)}`;
}

function freePort(): Promise<Address> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port: 0, exclusive: true }, () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address !== null
          ? resolve({ host: "127.0.0.1", port: address.port })
          : reject(new Error("no port")),
      );
    });
  });
}

function canListen({ host, port }: Address): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
