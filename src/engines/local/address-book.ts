import { asFailure, Failure } from "../../core/failure.ts";
import { type Address, type Addresses, addressKey } from "./addresses.ts";

/** Gives addresses out, each once in a server's life: nobody gets requests that are meant for who was there before. */
export interface AddressBook {
  /** These are used already. */
  add(used: readonly Address[]): void;
  /** For a replica of a service on that port. */
  forReplica(port: number): Promise<Address>;
  /**
   * For the service's name. Its port is the service's own, unless a server that listens on all addresses keeps that one to
   * itself; clients that ask by name are led to the other one.
   */
  forService(port: number): Promise<Address>;
}

export function createAddressBook(addresses: Addresses, random: () => number): AddressBook {
  const taken = new Set<string>();
  const add = (used: readonly Address[]): void => {
    for (const address of used) {
      // Where there is one loopback address, only host and port together are taken.
      if (address.host !== "127.0.0.1") taken.add(address.host);
      taken.add(addressKey(address));
    }
  };
  const choose = async (port: number): Promise<Address> => {
    const address = await addresses.choose(port, taken);
    add([address]);
    return address;
  };
  return {
    add,
    forReplica: choose,
    async forService(port) {
      try {
        return await choose(port);
      } catch (error) {
        if (asFailure(error).code !== "port-taken") throw error;
        return choose(20_000 + Math.floor(random() * 10_000));
      }
    },
  };
}

/** Why a service that goes past the start-up hook can't be rolled out beside itself. */
export function keepsPortToItself(stage: string, { host, port }: Address, cause: unknown): Failure {
  return new Failure(
    "port-taken",
    `Cannot roll service "${stage}" out: the release that serves now listens on ${host}:${port} itself, so that no other can run beside it.`,
    {
      hint: "Let the program listen on the address in HOST and PORT, or delete the deployment first.",
      cause,
    },
  );
}
