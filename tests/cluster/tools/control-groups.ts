import { existsSync, globSync, mkdirSync, rmdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** One in each hierarchy: there are several in version 1 of control groups. */
function hierarchies(): readonly string[] {
  const root = "/sys/fs/cgroup";
  if (existsSync(join(root, "cgroup.controllers"))) return [root];
  return globSync("*/cgroup.procs", { cwd: root }).map((file) => join(root, dirname(file)));
}

export function makeControlGroups(name: string): void {
  for (const hierarchy of hierarchies()) mkdirSync(join(hierarchy, name), { recursive: true });
}

/** The kernel removes them one by one, and only when their last process is gone. */
export async function removeControlGroups(name: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const left = hierarchies()
      .flatMap((hierarchy) => {
        const top = join(hierarchy, name);
        return globSync(`${top}/**/cgroup.procs`).concat(globSync(`${top}/cgroup.procs`));
      })
      .map((file) => dirname(file))
      .sort((one, other) => other.length - one.length);
    if (left.length === 0) return;
    for (const folder of new Set(left)) {
      try {
        rmdirSync(folder);
      } catch (error) {
        if (tries === 100) throw error;
      }
    }
    await sleep(50);
  }
}
