import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";

import {
  createProcesses,
  type Processes,
  type ProcessSpec,
  type RunningProcess,
} from "../../../../src/engines/local/processes/processes.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

export const path = "/usr/sbin:/usr/bin:/sbin:/bin";

/** Processes with a state folder of their own, and a way to start shell scripts with them. */
export interface Bench {
  readonly root: string;
  readonly processes: Processes;
  script(text: string, more?: Partial<ProcessSpec>): Promise<RunningProcess>;
  folder(): string;
}

export async function createBench(options: { logCapBytes?: number } = {}): Promise<Bench> {
  const root = temporaryFolder("processes");
  const processes = await createProcesses({ stateFolder: join(root, "state"), ...options });
  onTestFinished(() => processes.close());
  let count = 0;
  const folder = (): string => join(root, `process-${count++}`);
  return {
    root,
    processes,
    folder,
    script: (text, more = {}) =>
      processes.start({
        folder: folder(),
        nonce: randomUUID(),
        command: ["sh", "-c", text],
        cwd: root,
        env: { PATH: path },
        ...more,
      }),
  };
}

/** The file's content; empty when it is not there, or goes while it is read. */
export function text(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** Waits until `look` gives something, ten seconds at most. */
export async function until<T>(look: () => T | undefined | false | ""): Promise<T> {
  for (let waited = 0; waited < 10_000; waited += 10) {
    const found = look();
    if (found !== undefined && found !== false && found !== "") return found;
    await sleep(10);
  }
  throw new Error(`Waited in vain: ${look}`);
}

/** True for a process that runs; a zombie does not. */
export function runs(pid: number): boolean {
  const stat = text(`/proc/${pid}/stat`);
  return stat !== "" && !/\) [ZX] /.test(stat);
}

export function endQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}
