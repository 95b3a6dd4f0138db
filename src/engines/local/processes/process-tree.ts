import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { textIfThere } from "../../../lib/read-if-there.ts";
import {
  hasNonce,
  isAlive,
  maskerMark,
  type ProcessIdentity,
  type ProcessInfo,
  type ProcessTable,
  processTable,
} from "./process-table.ts";

/** What tells the processes of one program; its shim and the masker of its log are not among them. */
export interface Tree {
  readonly shim: ProcessIdentity;
  readonly nonce: string;
  readonly memoryGroup: string | undefined;
  /**
   * Clock ticks since boot: when the shim, who led the session, ended. Undefined while it lives, or when nobody knows.
   * Where start times are not in ticks (macOS), any number says that it has ended just now.
   */
  readonly shimEnded: number | undefined;
}

/** Nothing can end a process that hangs in the kernel; this long is waited for one, in milliseconds. */
const longestWait = 10_000;

/**
 * Every living process of the tree: members of its memory group, of the shim's session and process group, and those
 * that bear its nonce, so that one that made a session of its own (a daemon) is found too.
 *
 * A process id says nothing by itself, for it may have been given to a stranger: the session's number counts while the
 * shim lives or for who was in it before the shim ended, and nobody from before the shim's start belongs to it.
 */
export function treeMembers(tree: Tree, table: ProcessTable = processTable): readonly ProcessInfo[] {
  const { shim } = tree;
  const grouped = memoryGroupMembers(tree.memoryGroup);
  const started = Number(shim.started);
  const lives = isAlive(shim, tree.nonce, table);
  const inSession = (one: ProcessInfo): boolean =>
    (one.session === shim.pid || one.group === shim.pid) &&
    (lives || (tree.shimEnded !== undefined && !(Number(one.started) >= tree.shimEnded)));
  return table.all(lowestPid(tree)).filter((one) => {
    if (one.pid === process.pid || (one.pid === shim.pid && one.started === shim.started)) return false;
    if (grouped.has(one.pid)) return true;
    if (Number(one.started) < started) return false;
    const isIn = inSession(one) || hasNonce(one.pid, tree.nonce, table) === true;
    return isIn && !isMasker(one.pid, table);
  });
}

/** The program and its descendants: much cheaper than `treeMembers`, and without those that cut themselves loose. */
export function descendants(
  { shim, nonce }: Pick<Tree, "shim" | "nonce">,
  table: ProcessTable = processTable,
): readonly number[] {
  if (!isAlive(shim, nonce, table)) return [];
  const found: number[] = [];
  const waiting = [shim.pid];
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    const all = table.children(pid) ?? childrenOf(pid, table);
    const children = pid === shim.pid ? all.filter((child) => !isMasker(child, table)) : all;
    found.push(...children);
    waiting.push(...children);
  }
  return found.filter((pid) => table.find(pid) !== undefined);
}

/** SIGKILL to the tree, again and again until none is left. */
export async function endTree(tree: Tree): Promise<void> {
  const deadline = performance.now() + longestWait;
  for (let wait = 1; ; wait = Math.min(50, wait * 2)) {
    const members = treeMembers(tree);
    if (members.length === 0 || performance.now() > deadline) return;
    killMemoryGroup(tree.memoryGroup);
    for (const { pid } of members) sendSignal(pid, "SIGKILL");
    await sleep(wait);
  }
}

/**
 * SIGTERM, once to each process of the tree, also to those that are started meanwhile; returns when the time is over or
 * the signal aborted.
 */
export async function askToEnd(tree: Tree, milliseconds: number, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + milliseconds;
  const asked = new Set<string>();
  // A shim's child that is not yet the program may still have the shim's handlers, and the signal would be in vain.
  const shimCommand = processTable.command(tree.shim.pid);
  const isProgram = (pid: number): boolean =>
    shimCommand === undefined || processTable.command(pid) !== shimCommand;
  for (let wait = 5; !signal.aborted; wait = Math.min(250, wait * 2)) {
    for (const { pid, started } of treeMembers(tree)) {
      if (asked.has(`${pid} ${started}`) || !isProgram(pid)) continue;
      asked.add(`${pid} ${started}`);
      sendSignal(pid, "SIGTERM");
    }
    const left = deadline - performance.now();
    if (left <= 0) return;
    await sleep(Math.min(wait, left), undefined, { signal }).catch(() => {});
  }
}

/** It takes what the program's last process has written, and then ends by itself. */
function isMasker(pid: number, table: ProcessTable): boolean {
  return table.hasVariable(pid, maskerMark) === true;
}

function childrenOf(pid: number, table: ProcessTable): readonly number[] {
  return table.all().flatMap((one) => (one.parent === pid ? [one.pid] : []));
}

/**
 * Process ids grow until they begin anew at the system's highest. A tree that is younger than any machine needs to give
 * all of them out, on a machine whose newest id is above its shim's, has only ids above that one, and the rest need not
 * be looked at.
 */
function lowestPid({ shim }: Tree): number {
  const now = uptimeTicks();
  if (now === undefined) return 0;
  // Ticks are hundredths of a second; no machine makes more than some 200,000 processes a second.
  const forksAtMost = (now - Number(shim.started) + 3) * 2_000;
  return forksAtMost < highestPid() && newestPid() >= shim.pid ? shim.pid : 0;
}

/** The last id that was given out, the last word of /proc/loadavg: proc_loadavg(5). */
function newestPid(): number {
  return Number(textIfThere("/proc/loadavg")?.trim().split(" ").at(-1) ?? 0);
}

/** Clock ticks since boot; undefined where there is no /proc. */
export function uptimeTicks(): number | undefined {
  const text = textIfThere("/proc/uptime");
  return text === undefined ? undefined : Number.parseFloat(text) * 100;
}

function highestPid(): number {
  return Number(textIfThere("/proc/sys/kernel/pid_max") ?? 0);
}

function memoryGroupMembers(group: string | undefined): ReadonlySet<number> {
  const text = group === undefined ? undefined : textIfThere(join(group, "cgroup.procs"));
  return new Set((text ?? "").split("\n").filter(Boolean).map(Number));
}

/** All members in one go, which even a fork bomb can't outrun; only cgroup v2 has it. */
function killMemoryGroup(group: string | undefined): void {
  if (group === undefined) return;
  try {
    writeFileSync(join(group, "cgroup.kill"), "1", { flag: "r+" });
  } catch {
    // cgroup v1: its members are ended one by one.
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended.
  }
}
