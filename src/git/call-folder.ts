import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";

import { tryLock } from "../lib/process-lock.ts";
import { entriesIfThere } from "../lib/read-if-there.ts";

/** A folder that only this call of git knows: keys and helpers lie in it as long as the call lasts. */
export interface CallFolder {
  readonly path: string;
  remove(): void;
}

/** Makes one below `folder`, and removes those whose process was killed: a private key may lie in them. */
export function makeCallFolder(folder: string): CallFolder {
  removeLeftCallFolders(folder);
  const path = join(folder, randomBytes(8).toString("hex"));
  const lock = tryLock(`${path}.lock`);
  mkdirSync(path, { mode: 0o700 });
  return {
    path,
    remove: () => {
      rmSync(path, { recursive: true, force: true });
      lock?.release();
    },
  };
}

/** Whoever makes such a folder holds its lock before it is there. */
export function removeLeftCallFolders(folder: string): void {
  for (const name of entriesIfThere(folder)) {
    if (!/^[0-9a-f]{16}$/.test(name)) continue;
    const lock = tryLock(join(folder, `${name}.lock`));
    if (lock === undefined) continue;
    rmSync(join(folder, name), { recursive: true, force: true });
    lock.release();
  }
}
