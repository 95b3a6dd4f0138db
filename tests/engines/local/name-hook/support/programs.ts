import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Address } from "../../../../../src/engines/local/addresses.ts";
import { writeHosts } from "../../../../../src/engines/local/name-hook/hosts-file.ts";
import {
  installNameHook,
  nameHookVariables,
  type PortBind,
} from "../../../../../src/engines/local/name-hook/name-hook.ts";
import { runCommand } from "../../../../../src/lib/run-command.ts";
import { temporaryFolder } from "../../../../support/temporary.ts";

/** Programs that are written as for a container. */
export const programs = join(import.meta.dirname, "../../../../fixtures/python/name-hook");

export interface RunningProgram {
  /** All processes of its session: the program, its workers, their children. */
  pids(): readonly number[];
  output(): string;
  /** Its exit code, or the signal. */
  readonly ended: Promise<number | string>;
}

/** Starts a program in a session of its own, which is ended when the test has finished. */
export function startProgram(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd = programs,
): RunningProgram {
  const [file = "", ...args] = command;
  const child = spawn(file, args, {
    cwd,
    env: { ...plainEnvironment, ...env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
  const session = child.pid as number;
  onTestFinished(async () => {
    for (const pid of pidsOfSession(session)) endProcess(pid);
    await ended;
  });
  return { pids: () => pidsOfSession(session), output: () => output, ended };
}

/** Runs a program to its end; what it printed, which must be all there is to say. */
export async function outputOf(
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd = programs,
): Promise<string> {
  const [file = "", ...args] = command;
  const result = await runCommand(file, args, {
    env: { ...plainEnvironment, ...env },
    cwd,
    timeout: 120_000,
  });
  if (result.exitCode !== 0) throw new Error(`${command.join(" ")} failed: ${result.stdout}${result.stderr}`);
  if (result.stderr !== "") throw new Error(`${command.join(" ")} complained: ${result.stderr}`);
  return result.stdout;
}

const plainEnvironment = { PATH: process.env.PATH ?? "", HOME: process.env.BODYWORK_HOME ?? "/" };

/** The hook's files and a hosts file, both of this test alone. */
export function hookForTest(): {
  readonly hostsFile: string;
  variables(bind?: readonly PortBind[]): Record<string, string>;
} {
  const folder = temporaryFolder("hook");
  const hook = installNameHook(join(folder, "hook"));
  const hostsFile = join(folder, "names.hosts");
  writeHosts(hostsFile, []);
  return { hostsFile, variables: (bind = []) => nameHookVariables({ hook, bind, hostsFile }) };
}

/** A port that nobody on this machine has at this moment, on any address. */
export async function unusedPort(): Promise<number> {
  const server = createServer();
  server.listen(0, "0.0.0.0");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Answers every connection with that text as HTTP, until the test has finished. */
export async function answering(text: string, { host, port }: Address): Promise<void> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(`HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n${text}`));
  });
  server.listen(port, host);
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
  });
}

/** The text at `http://HOST:PORT/`. */
export async function textAt({ host, port }: Address): Promise<string> {
  const answer = await fetch(`http://${host}:${port}/`, { signal: AbortSignal.timeout(10_000) });
  return answer.text();
}

function pidsOfSession(session: number): readonly number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const fields = statFields(name);
    // state, parent, group, session
    return fields[0] !== "Z" && Number(fields[3]) === session ? [Number(name)] : [];
  });
}

function statFields(pid: string): readonly string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}
