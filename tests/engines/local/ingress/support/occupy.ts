import { createServer } from "node:net";
import { onTestFinished } from "vitest";
import type { Address } from "../../../../../src/engines/local/addresses.ts";

/** Listens there as somebody else would, until the test ends or it is told to let go. */
export async function occupy(address: Address): Promise<() => Promise<void>> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...address, exclusive: true }, resolve);
  });
  const release = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  onTestFinished(release);
  return release;
}
