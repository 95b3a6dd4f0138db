import { readFileSync } from "node:fs";
import { join } from "node:path";

import { writeFileAtomic } from "../../../lib/files.ts";
import { jsonIfThere } from "../../../lib/read-if-there.ts";
import { listenerNote, type PublicListener, publicUrlOf, readRoutes } from "./routes.ts";

/** What a running ingress says of itself in its folder. */
export interface IngressState {
  /** Process ids. */
  readonly ingress: number;
  readonly holder: number;
  /** Its control socket. */
  readonly control: string;
  readonly version: string;
}

/** What is known of the ingress without asking it: where it is or was, why there, and whether it runs. Cheap; never throws. */
export function readIngressState(folder: string): {
  readonly publicUrl: string | undefined;
  readonly note: string | undefined;
  readonly running: boolean;
} {
  const state = readStateFile(folder);
  const running = state !== undefined && (isOf(state.holder, folder) || isOf(state.ingress, folder));
  const listen = listenerOnFile(folder);
  const publicUrl = listen === undefined ? undefined : publicUrlOf(listen);
  return { publicUrl, note: listenerNote(listen), running };
}

export function writeIngressState(folder: string, state: IngressState): void {
  writeFileAtomic(statePath(folder), JSON.stringify(state));
}

/** Undefined when it never ran. The file is replaced whole, so that half of one is not seen. */
export function readStateFile(folder: string): IngressState | undefined {
  return jsonIfThere<IngressState>(statePath(folder));
}

/** True when the process runs and is one of this folder's: its arguments name it. A process id alone may be another's. */
export function isOf(pid: number, folder: string): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(folder);
  } catch {
    return process.platform !== "linux";
  }
}

function statePath(folder: string): string {
  return join(folder, "state.json");
}

function listenerOnFile(folder: string): PublicListener | undefined {
  try {
    return readRoutes(folder).listen;
  } catch {
    return undefined;
  }
}
