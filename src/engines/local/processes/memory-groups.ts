import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { isInside } from "../../../lib/files.ts";
import { textIfThere } from "../../../lib/read-if-there.ts";
import { runCommand } from "../../../lib/run-command.ts";

/**
 * The folder of the cgroup file system, version 1 or 2, in which we may make memory groups: our own group, or (version
 * 2, where a group with processes has no limited groups below it) the nearest group above. Tried out, not guessed;
 * undefined when there is no such place.
 */
export async function findMemoryPlace(): Promise<string | undefined> {
  if (process.platform !== "linux") return undefined;
  for (const place of memoryPlaces(
    textIfThere("/proc/self/mountinfo") ?? "",
    textIfThere("/proc/self/cgroup") ?? "",
  )) {
    if (await works(place)) return place;
  }
  return undefined;
}

/** Makes a group with this limit, swap included. */
export function createMemoryGroup(group: string, limitMb: number): void {
  const set = (name: string, value: number): void =>
    writeFileSync(join(group, name), String(value), { flag: "r+" });
  const bytes = limitMb * 1024 * 1024;
  mkdirSync(group);
  if (existsSync(join(group, "memory.limit_in_bytes"))) {
    set("memory.limit_in_bytes", bytes);
    // Without it the program swaps instead. The file is there only where the kernel counts swap.
    if (existsSync(join(group, "memory.memsw.limit_in_bytes"))) set("memory.memsw.limit_in_bytes", bytes);
  } else {
    set("memory.max", bytes);
    if (existsSync(join(group, "memory.swap.max"))) set("memory.swap.max", 0);
  }
}

/** Folders that may serve, the best first, from /proc/self/mountinfo, proc(5), and /proc/self/cgroup, cgroups(7). */
export function memoryPlaces(mounts: string, groups: string): readonly string[] {
  const own = groups.split("\n").map((line) => line.match(/^\d+:([^:]*):(.*)$/) ?? []);
  const first = own.find(([, controllers]) => controllers?.split(",").includes("memory"))?.[2];
  const second = own.find(([, controllers]) => controllers === "")?.[2];
  return mounts.split("\n").flatMap((line) => {
    const [place, system] = line.split(" - ");
    const [, , , root = "/", mountPoint = ""] = (place ?? "").split(" ");
    const [type, , options = ""] = (system ?? "").split(" ");
    if (type === "cgroup" && options.split(",").includes("memory") && first !== undefined) {
      return [below(mountPoint, root, first)];
    }
    if (type === "cgroup2" && second !== undefined) {
      return upwards(below(mountPoint, root, second), mountPoint);
    }
    return [];
  });
}

/** Removes an empty group. The kernel may need a moment after the last process in it has ended. */
export async function removeMemoryGroup(group: string): Promise<void> {
  for (let tries = 0; existsSync(group) && tries < 50; tries++) {
    try {
      rmdirSync(group);
    } catch {
      await sleep(10);
    }
  }
}

/** A container may see only a part of the tree: `root` is where the mount begins. */
function below(mountPoint: string, root: string, group: string): string {
  return isInside(root, group) ? join(mountPoint, relative(root, group)) : join(mountPoint, group);
}

function upwards(folder: string, end: string): readonly string[] {
  return folder === end || !isInside(end, folder) ? [folder] : [folder, ...upwards(dirname(folder), end)];
}

async function works(place: string): Promise<boolean> {
  const group = join(place, `bodywork-try-${process.pid}`);
  try {
    createMemoryGroup(group, 64);
    const enter = await runCommand("/bin/sh", ["-c", 'echo 0 >"$1/cgroup.procs"', "sh", group], { env: {} });
    return enter.exitCode === 0;
  } catch {
    return false; // Not ours to change, or without the memory controller.
  } finally {
    await removeMemoryGroup(group);
  }
}
