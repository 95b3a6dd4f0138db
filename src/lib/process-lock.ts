import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { currentBoot } from "./current-boot.ts";
import { hasCode } from "./has-code.ts";
import { textIfThere, whenThere } from "./read-if-there.ts";

/** A lock that this process holds until it calls `release`, or ends in any way. */
export interface HeldLock {
  release(): void;
}

/**
 * Waits until this process is the only holder of the lock file `path`, among processes and within this one. A holder
 * that was killed does not keep others waiting: a process is told by boot, process id and start time (so containers
 * that share a folder do not see each other's processes, and do not wait for them). Rejects with the signal's reason.
 * `onWait` is called at each look (every 50 ms) while another holds it.
 */
export async function acquireLock(
  path: string,
  options: { readonly signal?: AbortSignal | undefined; readonly onWait?: () => void } = {},
): Promise<HeldLock> {
  for (;;) {
    options.signal?.throwIfAborted();
    const lock = tryLock(path);
    if (lock !== undefined) return lock;
    options.onWait?.();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The lock when nobody alive holds it, else undefined. */
export function tryLock(path: string): HeldLock | undefined {
  const claim: Owner = { ...identityOfThisProcess(), nonce: randomBytes(8).toString("hex") };
  const temporary = `${path}.${claim.nonce}.claim`;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(temporary, JSON.stringify(claim), { mode: 0o600 });
  try {
    return claimPath(path, temporary) ? { release: () => release(path, claim.nonce) } : undefined;
  } finally {
    rmSync(temporary, { force: true });
  }
}

interface Owner {
  readonly boot: string;
  readonly namespace: string;
  readonly pid: number;
  readonly started: string;
  readonly nonce: string;
}

/** A link appears whole or not at all, and only where nothing is. */
function claimPath(path: string, temporary: string): boolean {
  try {
    linkSync(temporary, path);
    return true;
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  }
  const owner = readOwner(path);
  if (owner === "gone" || isAlive(owner)) return false;
  return replaceDeadOwner(path, temporary, owner);
}

/**
 * Two processes may find the same dead owner. Who may replace it is decided by a second lock that bears this owner's
 * name; the loser, or one that comes late, sees under that lock that the owner is another by now.
 */
function replaceDeadOwner(path: string, temporary: string, dead: Owner): boolean {
  const guard = tryLock(`${path}.${dead.nonce}.takeover`);
  if (guard === undefined) return false;
  try {
    const owner = readOwner(path);
    if (owner === "gone" || owner.nonce !== dead.nonce) return false;
    renameSync(temporary, path);
    return true;
  } finally {
    guard.release();
  }
}

/** One that was taken for dead, being in another container, does not take the lock from its successor. */
function release(path: string, nonce: string): void {
  const owner = readOwner(path);
  if (owner !== "gone" && owner.nonce === nonce) rmSync(path, { force: true });
}

function readOwner(path: string): Owner | "gone" {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Owner;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return "gone";
    // Claims are written before they are linked: only a power cut leaves one that can't be read.
    return { boot: "", namespace: "", pid: 0, started: "", nonce: "unreadable" };
  }
}

function isAlive(owner: Owner): boolean {
  const self = identityOfThisProcess();
  if (owner.boot !== self.boot || owner.namespace !== self.namespace) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (!hasCode(error, "EPERM")) return false;
  }
  return startOf(owner.pid) === owner.started;
}

let identity: Omit<Owner, "nonce"> | undefined;

function identityOfThisProcess(): Omit<Owner, "nonce"> {
  identity ??= {
    boot: currentBoot(),
    namespace: whenThere(() => readlinkSync("/proc/self/ns/pid")) ?? "",
    pid: process.pid,
    started: startOf(process.pid),
  };
  return identity;
}

/** Clock ticks since boot, so that a process id that is used again is told apart; empty where there is no /proc. */
function startOf(pid: number): string {
  const stat = textIfThere(`/proc/${pid}/stat`) ?? "";
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? "" : (fields[19] ?? "");
}
