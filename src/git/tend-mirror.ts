import { tryLock } from "../lib/process-lock.ts";
import { repackArguments } from "./git-arguments.ts";
import { type GitMachine, runGit } from "./git-command.ts";
import { packCount } from "./mirror.ts";

/** Each fetch that brings something adds a pack; from so many on git has to look through too many. */
const maxPacks = 50;

/**
 * Packs a mirror anew when many packs have come together, and drops what no ref leads to and is older than two weeks.
 * With the lowest priority, and beside fetches, which git allows. True when it was done.
 */
export async function tendMirror(machine: GitMachine, mirror: string, lockFile: string): Promise<boolean> {
  if (packCount(mirror) <= maxPacks) return false;
  const lock = tryLock(lockFile);
  if (lock === undefined) return false;
  try {
    const before = ["nice", "-n", "19"];
    const { exitCode } = await runGit(machine, { gitDir: mirror, args: repackArguments, before });
    return exitCode === 0;
  } finally {
    lock.release();
  }
}
