import { request } from "node:http";
import { connect } from "node:net";

import type { ServiceStage } from "../../core/project.ts";
import { type Address, addressKey } from "./addresses.ts";
import { type ListeningSocket, listeningSockets } from "./listening-sockets.ts";

/** Whether a replica can be sent requests, and where. */
export type Readiness =
  | { readonly kind: "ready"; readonly target: Address }
  | {
      readonly kind: "not-yet";
      readonly reason: string;
      /** `HOST:PORT` where it listens, when that is on another port. */
      readonly wrongPort?: string;
    }
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
  const [other] = sockets;
  const reason = `nothing listens on port ${stage.port}`;
  if (other === undefined) return { kind: "not-yet", reason };
  const wrongPort = addressKey(other);
  return { kind: "not-yet", reason: `${reason} (it listens on ${wrongPort})`, wrongPort };
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

async function answersWell(target: Address, path: string): Promise<string | undefined> {
  const answer = await ask(target, path, AbortSignal.timeout(answerTime));
  switch (answer.kind) {
    case "status":
      return answer.status >= 200 && answer.status < 300 ? undefined : `${path} answers ${answer.status}`;
    case "silence":
      return `${path} did not answer within ${answerTime / 1000} s`;
    case "error":
      return `${path}: ${answer.message}`;
  }
}

/** True when nothing came back before the signal aborted: no status, nor an error either. */
export async function staysSilent(target: Address, path: string, signal: AbortSignal): Promise<boolean> {
  return (await ask(target, path, signal)).kind === "silence";
}

type Answer =
  | { readonly kind: "status"; readonly status: number }
  | { readonly kind: "error"; readonly message: string }
  | { readonly kind: "silence" };

function ask({ host, port }: Address, path: string, signal: AbortSignal): Promise<Answer> {
  return new Promise((resolve) => {
    const asked = request(
      { host, port, path: path.startsWith("/") ? path : `/${path}`, agent: false, signal },
      (response) => {
        response.resume();
        resolve({ kind: "status", status: response.statusCode ?? 0 });
      },
    );
    // An answer without end is cut off by the signal as well.
    asked.on("error", ({ message }) =>
      resolve(signal.aborted ? { kind: "silence" } : { kind: "error", message }),
    );
    asked.end();
  });
}
