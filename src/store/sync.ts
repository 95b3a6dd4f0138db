import { closeSync, fsyncSync, openSync } from "node:fs";

/** What was written to a file, or which names a folder has, is on the disk when this returns. */
export function sync(path: string, flags: "r" | "r+"): void {
  const handle = openSync(path, flags);
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
