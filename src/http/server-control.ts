import { rmSync } from "node:fs";
import { join } from "node:path";

import { asFailure, Failure } from "../core/failure.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { jsonIfThere, textIfThere } from "../lib/read-if-there.ts";
import { spawnDetached } from "../lib/spawn-detached.ts";
import type { ServerControl, ServerStatus } from "../operations/operations.ts";
import { createClient, type ServerClient } from "./client.ts";
import { faultsInLog, startFailureIn } from "./faults-in-log.ts";
import { checkHome, prepareHome } from "./prepare-home.ts";
import { compareVersions } from "./version-rule.ts";

/** What a server leaves in its home folder (mode 0600) so that commands find it. */
export interface ServerFile {
  readonly pid: number;
  readonly version: string;
  /** Undefined while it starts: its services are taken up before it answers. */
  readonly api: string | undefined;
  readonly token: string;
}

export interface ServerControlParts {
  readonly home: string;
  readonly version: string;
  /** Program and arguments that are `bodywork server run`. */
  readonly command: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string>>;
  /** What is known without a server. */
  readonly offlineStatus: () => Pick<ServerStatus, "ingress" | "ingressNote" | "ingressRunning">;
  readonly sleep: (milliseconds: number) => Promise<void>;
}

/** Finds, starts and stops the server of a home folder. */
export interface LocalServer extends ServerControl {
  /**
   * A client of a server that is ours to use: started, or replaced by this version, when needed. With `unlessStopped` one
   * that was killed is started again, and one that was stopped is not: then it fails with server-unreachable.
   */
  client(options?: { readonly unlessStopped?: boolean }): Promise<ServerClient>;
}

/** A server that answers. */
interface Found {
  readonly client: ServerClient;
  readonly status: ServerStatus;
}

/** Milliseconds that a server may take to start, and to end. */
const startTime = 30_000;
/** Milliseconds that `server start` waits for the services that come back. */
const comingBackTime = 10_000;

export function createServerControl(parts: ServerControlParts): LocalServer {
  const { home } = parts;

  const find = async (): Promise<Found | undefined> => {
    // Whoever can write there may have put another server in the place of ours.
    checkHome(home);
    const { api, token } = readServerFile(home) ?? {};
    if (api === undefined || token === undefined) return undefined;
    try {
      const client = createClient({ api, token });
      return { client, status: await client.status() };
    } catch {
      return undefined; // The file of a server that was killed; who has its port now knows nothing of the token.
    }
  };
  const stopped = (): ServerStatus => ({
    running: false,
    pid: undefined,
    version: undefined,
    home,
    api: undefined,
    startedAt: undefined,
    ...parts.offlineStatus(),
  });
  const waitUntilGone = async (pid: number): Promise<void> => {
    for (const deadline = performance.now() + startTime; isAlive(pid); ) {
      if (performance.now() > deadline) {
        throw new Failure("timed-out", `The server (process ${pid}) does not end.`, {
          hint: `See its log: ${join(home, "server.log")}`,
        });
      }
      await parts.sleep(25);
    }
  };

  /** One that is just starting is waited for: it could not be told anything yet. */
  const findStarted = async (): Promise<Found | undefined> => {
    for (const deadline = performance.now() + startTime; ; await parts.sleep(25)) {
      const found = await find();
      const { pid, api } = readServerFile(home) ?? {};
      if (found !== undefined || api !== undefined || !isAlive(pid)) return found;
      if (performance.now() < deadline) continue;
      throw new Failure("timed-out", `The server (process ${pid}) starts, and does not answer.`, {
        hint: `See its log: ${join(home, "server.log")}, and end it with: kill ${pid}`,
      });
    }
  };

  const start = async (): Promise<Found> => {
    const found = await find();
    if (found !== undefined) {
      const order = compareVersions(found.status.version ?? "0", parts.version);
      if (order === 0) return found;
      if (order > 0) {
        throw new Failure(
          "version-mismatch",
          `The server of ${home} is of version ${found.status.version}, and this command is the older ${parts.version}.`,
          { hint: "Use the newer Bodywork, or stop the server first: bodywork server stop" },
        );
      }
      await end(found, false);
    }
    return startNew();
  };

  /** Somebody else may end it at the same time. */
  const end = async ({ client, status }: Found, services: boolean): Promise<void> => {
    try {
      await client.stop({ services });
    } catch (error) {
      if (asFailure(error).code !== "server-unreachable" || services) throw error;
    }
    if (status.pid !== undefined) await waitUntilGone(status.pid);
  };

  const startNew = async (): Promise<Found> => {
    prepareHome(home);
    const log = join(home, "server.log");
    const before = sizeOf(log);
    const [file, ...args] = parts.command;
    const pid = await spawnDetached({ file, args, env: parts.environment, cwd: home, logFile: log });
    for (const deadline = performance.now() + startTime; performance.now() < deadline; ) {
      await parts.sleep(20);
      const found = await find();
      if (found !== undefined) return found;
      // Another command may have started one at the same time, and ours gave way.
      if (!isAlive(pid) && !isAlive(readServerFile(home)?.pid)) {
        const text = textIfThere(log) ?? "";
        // A log that got shorter has begun anew.
        const said = text.length < before ? text : text.slice(before);
        throw startFailureIn(said) ?? endedAtOnce(faultsInLog(said), log);
      }
    }
    throw new Failure("timed-out", `The server did not answer within ${startTime / 1000} s.`, {
      hint: `Its log: ${log}`,
    });
  };

  const ready = async (listen: string | undefined) => {
    const server = await start();
    return listen === undefined ? server : { ...server, status: await server.client.listen(listen) };
  };

  /** Those that take longer, or wait for something, are told in the status. */
  const untilServicesAreBack = async ({ client, status }: Found): Promise<ServerStatus> => {
    let latest = status;
    for (const deadline = performance.now() + comingBackTime; performance.now() < deadline; ) {
      if (latest.comingBack === undefined || latest.comingBack.length === 0) break;
      await parts.sleep(50);
      latest = await client.status();
    }
    return latest;
  };

  return {
    status: async () => (await find())?.status ?? stopped(),
    start: async ({ listen }) => untilServicesAreBack(await ready(listen)),
    async stop({ services }) {
      // Services can only be stopped by a server that knows them.
      const found = services ? await start() : await findStarted();
      if (found === undefined) return stopped();
      await end(found, services);
      return stopped();
    },
    async client({ unlessStopped = false } = {}) {
      if (unlessStopped && readServerFile(home) === undefined) {
        throw new Failure("server-unreachable", "The Bodywork server was stopped.", {
          hint: "Go on with: bodywork server start",
        });
      }
      return (await start()).client;
    },
  };
}

/** One that has a fault says so before it ends. One that says nothing was killed, and the next may live. */
function endedAtOnce(said: readonly string[], log: string): Failure {
  if (said.length === 0) {
    return new Failure("server-unreachable", "The Bodywork server was killed as it was started.", {
      hint: "The machine may be short of memory. Try again.",
    });
  }
  return new Failure("internal", "The server ended as soon as it was started.", {
    details: said.slice(-15),
    hint: `Its log: ${log}`,
  });
}

const fileName = "server.json";

export function writeServerFile(home: string, file: ServerFile): void {
  writeFileAtomic(join(home, fileName), JSON.stringify(file));
}

export function removeServerFile(home: string): void {
  rmSync(join(home, fileName), { force: true });
}

function readServerFile(home: string): ServerFile | undefined {
  return jsonIfThere<ServerFile>(join(home, fileName));
}

function isAlive(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/s.test(textIfThere(`/proc/${pid}/stat`) ?? "");
  } catch {
    return false;
  }
}

function sizeOf(file: string): number {
  return textIfThere(file)?.length ?? 0;
}
