import { readFileSync } from "node:fs";
import { join } from "node:path";

import { Failure } from "../../../core/failure.ts";
import { writeFileAtomic } from "../../../lib/files.ts";
import type { Address } from "../addresses.ts";

/** A service as the ingress knows it. */
export interface Route {
  readonly namespace: string;
  /** The sanitised name, as in `/NAMESPACE/STAGE`; the raw one is accepted there too. */
  readonly stage: string;
  readonly rawStage: string;
  readonly release: string;
  /** True when it is routed to on the public address. */
  readonly ingress: boolean;
  /** The service's stable address, which its name resolves to. */
  readonly address: Address;
  readonly targets: readonly Address[];
}

/** Where the public listener is. */
export interface PublicListener extends Address {
  /** The user named it, so that another port is not as good. */
  readonly asked: boolean;
  /** Where it should be, when that was taken. */
  readonly insteadOf?: Address;
}

/** What the ingress starts from when there is no server. */
export interface RoutesFile {
  /** Undefined until the public address was first opened. */
  readonly listen: PublicListener | undefined;
  /** The `listen` of the user's settings that `listen` takes into account; undefined when they had none. */
  readonly setting?: string | undefined;
  readonly routes: readonly Route[];
}

export function routesPath(folder: string): string {
  return join(folder, "routes.json");
}

export function writeRoutes(folder: string, file: RoutesFile): void {
  writeFileAtomic(routesPath(folder), JSON.stringify(file, undefined, 1));
}

/** No routes when there is no file. Throws when it is damaged: to route nowhere would be worse than to say so. */
export function readRoutes(folder: string): RoutesFile {
  let text: string;
  try {
    text = readFileSync(routesPath(folder), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { listen: undefined, routes: [] };
    throw error;
  }
  try {
    return JSON.parse(text) as RoutesFile;
  } catch (error) {
    throw new Failure("store-damaged", `Cannot read the ingress' routes: ${routesPath(folder)} is damaged.`, {
      hint: "Remove it: the server routes its services again when it starts.",
      cause: error,
    });
  }
}

/** `http://127.0.0.1:8080`; a listener on every address is named by the one that certainly works here. */
export function publicUrlOf({ host, port }: Address): string {
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`;
}

/** Why a listener is not where it should be, for the user; undefined when it is. */
export function listenerNote(listen: PublicListener | undefined): string | undefined {
  if (listen?.insteadOf === undefined) return undefined;
  const { host, port } = listen.insteadOf;
  return `Port ${port} of ${host} was taken: the ingress listens on ${publicUrlOf(listen)}. To choose another: bodywork server start --listen HOST:PORT`;
}
