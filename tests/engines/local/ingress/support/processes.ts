import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Address } from "../../../../../src/engines/local/addresses.ts";
import {
  createIngress,
  type Ingress,
  type IngressOptions,
} from "../../../../../src/engines/local/ingress/ingress.ts";
import { temporaryFolder } from "../../../../support/temporary.ts";
import { loopbackAddress } from "./routes.ts";

/** The ingress of a folder as a server has it: real processes, which end with the test. */
export function ingressOf(folder: string, options: Partial<IngressOptions> = {}): Ingress {
  const ingress = createIngress({ folder, version: "4.0.0", listen: loopbackAddress(8080), ...options });
  onTestFinished(async () => {
    ingress.release();
    if (ingress.running()) await ingress.stop();
  });
  return ingress;
}

export function ingressFolder(): string {
  return join(temporaryFolder("home"), "ingress");
}

export interface ReplicaProcess {
  readonly address: Address;
  /** As the engine does: told to end, and waited for. */
  stop(): Promise<void>;
}

export async function startReplica(address: Address = loopbackAddress()): Promise<ReplicaProcess> {
  const child = fork(new URL("./replica.ts", import.meta.url), [address.host, String(address.port)]);
  onTestFinished(() => end(child, "SIGKILL"));
  await once(child, "message");
  return { address, stop: () => end(child, "SIGTERM") };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

/** Process ids that the ingress of this folder has written down. */
export function pidsOf(folder: string): { readonly ingress: number; readonly holder: number } {
  return JSON.parse(readFileSync(join(folder, "state.json"), "utf8"));
}

export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** The most memory that a process ever had, in MB. */
export function mostMemory(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

/** Where a URL of the ingress leads. */
export function addressOf(url: string | undefined): Address {
  const { hostname, port } = new URL(url ?? "");
  return { host: hostname, port: Number(port) };
}
