import { request } from "node:http";
import { connect } from "node:net";

import type { ServiceStage } from "../../core/project.ts";
import type { Address } from "./addresses.ts";
import { type ListeningSocket, listeningSockets } from "./listening-sockets.ts";

/** Whether a replica can be sent requests, and where. */
export type Readiness =
  | { readonly kind: "ready"; readonly target: Address }
  | { readonly kind: "not-yet"; readonly reason: string }
  /** It listens where we can't route to without mixing it up with others. */
  | { readonly kind: "elsewhere"; readonly reason: string };

/** Milliseconds that one answer may take. */
const answerTime = 2_000;

/**
 * A replica is ready when one of its own processes holds the listening socket and it answers: 2xx on `health_path`
 * when the stage has one, a TCP connection otherwise. A server that went past the start-up hook is found where it
 * listens; it can be used while it is the only replica.
 */
export async function checkReadiness(
  pids: readonly number[],
  address: Address,
  stage: ServiceStage,
): Promise<Readiness> {
  const sockets = await listeningSockets(pids);
  const own = sockets.find((socket) => socket.host === address.host && socket.port === address.port);
  if (own !== undefined) return answers(address, stage);
  const passed = sockets.find((socket) => socket.port === stage.port && reachableHost(socket) !== undefined);
  if (passed !== undefined) {
    const target = { host: reachableHost(passed) as string, port: passed.port };
    if (stage.replicas === 1) return answers(target, stage);
    return {
      kind: "elsewhere",
      reason: `listens on ${passed.host}:${passed.port} itself instead of its replica's own address, and with replicas: ${stage.replicas} they would be in each other's way; use replicas: 1, or let the program listen on the address in HOST and PORT`,
    };
  }
  const other = sockets[0];
  return {
    kind: "not-yet",
    reason:
      other === undefined
        ? `nothing listens on port ${stage.port}`
        : `nothing listens on port ${stage.port} (it listens on ${other.host}:${other.port})`,
  };
}

/** Where a socket that listens on any address can be reached from this machine. */
function reachableHost({ host }: ListeningSocket): string | undefined {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.startsWith("127.") ? host : undefined;
}

async function answers(target: Address, stage: ServiceStage): Promise<Readiness> {
  const problem =
    stage.healthPath === undefined ? await connects(target) : await answersWell(target, stage.healthPath);
  return problem === undefined ? { kind: "ready", target } : { kind: "not-yet", reason: problem };
}

/** Undefined when a TCP connection can be made; else what went wrong. */
export function connects({ host, port }: Address): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (problem: string | undefined): void => {
      socket.destroy();
      resolve(problem);
    };
    socket.setTimeout(answerTime, () => end(`did not accept a connection within ${answerTime / 1000} s`));
    socket.once("connect", () => end(undefined));
    socket.once("error", (error) => end(error.message));
  });
}

function answersWell({ host, port }: Address, path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const asked = request(
      { host, port, path: path.startsWith("/") ? path : `/${path}`, timeout: answerTime, agent: false },
      (response) => {
        response.resume();
        const status = response.statusCode ?? 0;
        resolve(status >= 200 && status < 300 ? undefined : `${path} answers ${status}`);
      },
    );
    asked.once("timeout", () => {
      asked.destroy();
      resolve(`${path} did not answer within ${answerTime / 1000} s`);
    });
    asked.once("error", (error) => resolve(`${path}: ${error.message}`));
    asked.end();
  });
}
