import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Ends every process that lives below `root`: that names it in its arguments or environment, or works in it. Those that
 * end by themselves within `graceMilliseconds` are let be. Returns one line for each that had to be ended. Linux only
 * (/proc); elsewhere it finds none.
 */
export async function endOrphans(root: string, graceMilliseconds = 5_000): Promise<readonly string[]> {
  const deadline = Date.now() + graceMilliseconds;
  let left = processesBelow(root);
  while (left.length > 0 && Date.now() < deadline) {
    await sleep(100);
    left = processesBelow(root);
  }
  const lines = left.map(({ pid, command }) => `${pid} ${command}`);
  // Ending one may make another start its successor.
  for (let round = 0; round < 20 && left.length > 0; round++) {
    for (const { pid } of left) kill(pid);
    await sleep(50);
    left = processesBelow(root);
  }
  return lines;
}

interface Found {
  readonly pid: number;
  readonly command: string;
}

export function processesBelow(root: string): readonly Found[] {
  return pids()
    .filter((pid) => pid !== process.pid)
    .flatMap((pid) => {
      const command = procText(pid, "cmdline").replaceAll("\0", " ").trim();
      // A zombie has neither; its parent is at fault, and is found itself.
      if (command === "") return [];
      const texts = [command, procText(pid, "environ"), workingFolder(pid)];
      return texts.some((text) => text.includes(root)) && !isOurs(pid) ? [{ pid, command }] : [];
    });
}

/** Servers of a home folder, as `server start` names them, or with the command that they are by themselves. */
export function serverProcesses(home: string): readonly Found[] {
  return processesBelow(home).filter(
    ({ command }) => command === `bodywork server ${home}` || command.endsWith(" server run"),
  );
}

function pids(): readonly number[] {
  try {
    return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  } catch {
    return [];
  }
}

/** Children of the test runner itself: its workers carry the root in their environment and end with it. */
function isOurs(pid: number): boolean {
  const stat = procText(pid, "stat");
  const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  return parent === process.pid;
}

function procText(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}

function workingFolder(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It went by itself.
  }
}
