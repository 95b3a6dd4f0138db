import { constants } from "node:os";
import { join } from "node:path";

import { removeMemoryGroup } from "./memory-groups.ts";
import { type ExitRecord, type Intent, logName, readClaim, readExit } from "./process-folder.ts";
import { hasNonce, isAlive, type ProcessIdentity, processTable } from "./process-table.ts";
import { askToEnd, descendants, endTree, type Tree, treeMembers, uptimeTicks } from "./process-tree.ts";
import type { ProcessExit, RunningProcess } from "./processes.ts";
import { watchFolder } from "./watch-folder.ts";

/** Milliseconds between two looks at what nobody reports. */
const lookPeriod = 100;
/** Milliseconds for which `pids` remembers what was found by looking at every process of the machine. */
const wholeLookPeriod = 1_000;

export interface Watched {
  readonly folder: string;
  readonly intent: Intent;
  readonly shim: ProcessIdentity;
  /** Settles when the shim has ended, or sooner; undefined when nobody will say so. */
  readonly ended: Promise<void> | undefined;
  /** Called when the process has ended, before `exited` settles. */
  readonly onEnd: () => void;
}

/** Goes along with a process until it and all that it started have ended. */
export function watchProcess(watched: Watched): RunningProcess {
  const { folder, intent, shim } = watched;
  const tree = treeOf(watched, undefined);
  const over = new AbortController();
  const exited = watchToEnd(watched).finally(() => over.abort());
  let everybody = { at: Number.NEGATIVE_INFINITY, pids: [] as readonly number[] };

  return {
    identity: {
      /** The program's; the shim's as long as there is no program. */
      get pid() {
        return descendants(tree)[0] ?? shim.pid;
      },
      started: shim.started,
      boot: intent.boot,
      nonce: intent.nonce,
    },
    startedAt: new Date(intent.at),
    logFile: join(folder, logName),
    exited,
    pids() {
      if (performance.now() - everybody.at > wholeLookPeriod) {
        const pids = treeMembers(tree).map(({ pid }) => pid);
        everybody = { at: performance.now(), pids };
      }
      return [...new Set([...descendants(tree), ...everybody.pids])];
    },
    async stop({ graceMs }) {
      await askToEnd(tree, graceMs, over.signal);
      // Once the program has ended its shim writes down how, and the rest of the tree is ended as always.
      if (!over.signal.aborted) await endTree(tree);
      return exited;
    },
  };
}

async function watchToEnd(watched: Watched): Promise<ProcessExit> {
  const { folder, intent, shim, ended, onEnd } = watched;
  const witnessed = isAlive(shim, intent.nonce) || ended !== undefined;
  await ended;
  await untilEnded(watched);
  const exit = readExit(folder);
  await endTree(treeOf(watched, shimEnd(exit, witnessed)));
  if (intent.memoryGroup !== undefined) await removeMemoryGroup(intent.memoryGroup);
  onEnd();
  return exitOf(exit, intent);
}

/** What is reported by nobody is seen by the file that the shim writes, or by the shim being gone. */
async function untilEnded({ folder, shim, intent }: Watched): Promise<void> {
  const hasEnded = (): boolean => readExit(folder) !== undefined || !isAlive(shim, intent.nonce);
  if (hasEnded()) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = (): void => {
    if (hasEnded()) resolve();
  };
  const timer = setInterval(look, lookPeriod);
  const watcher = watchFolder(folder, look);
  await promise;
  clearInterval(timer);
  watcher?.close();
}

function treeOf({ intent, shim }: Watched, shimEnded: number | undefined): Tree {
  return { shim, nonce: intent.nonce, memoryGroup: intent.memoryGroup, shimEnded };
}

/**
 * The shim writes the time down. Of one that was killed it is known only to those who saw it; and where there are no
 * such times, only they can tell that the number of its group has not been given to others since.
 */
function shimEnd(exit: ExitRecord | undefined, witnessed: boolean): number | undefined {
  if (exit !== undefined && exit.at > 0) return exit.at;
  return witnessed ? (uptimeTicks() ?? 0) : undefined;
}

function exitOf(exit: ExitRecord | undefined, intent: Intent): ProcessExit {
  if (exit === undefined) return { kind: "lost" };
  if (exit.oomKills > 0 && exit.status !== 0) return { kind: "out-of-memory", limitMb: intent.memoryLimitMb };
  if (exit.how === "exited") return { kind: "exited", code: exit.status };
  return { kind: "signalled", signal: signalName(exit.status - 128) };
}

function signalName(number: number): string {
  const names = Object.entries(constants.signals);
  return names.find(([, value]) => value === number)?.[0] ?? `signal ${number}`;
}

/** A process of which nothing is left but how it ended. */
export function endedProcess(folder: string, intent: Intent): RunningProcess {
  const exited = Promise.resolve(exitOf(readExit(folder), intent));
  return {
    identity: { pid: 0, started: "", boot: intent.boot, nonce: intent.nonce },
    startedAt: new Date(intent.at),
    logFile: join(folder, logName),
    exited,
    pids: () => [],
    stop: () => exited,
  };
}

/** The shim that took the intent up; undefined when none ever will. Waits for one that is just doing so. */
export async function claimant(folder: string, intent: Intent): Promise<ProcessIdentity | undefined> {
  for (;;) {
    const claim = readClaim(folder, intent);
    if (typeof claim === "object") return claim;
    if (claim === "none" || !someoneBears(intent.nonce)) return undefined;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function someoneBears(nonce: string): boolean {
  return processTable.all().some(({ pid }) => hasNonce(pid, nonce, processTable) === true);
}
