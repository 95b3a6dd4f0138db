import { copyFileSync, fstatSync, ftruncateSync, rmSync, statSync, writeSync } from "node:fs";

/** Where a log goes. */
export interface LogOutput {
  write(text: string): void;
}

/** Bytes: 16 MiB. */
export const logLimit = 16 * 1024 * 1024;

/**
 * Writes to a file that is open for appending already, as standard output is. Before it gets larger than the limit, what
 * it holds becomes `FILE.1`, in the place of what that was, and it begins anew; where the copy can't be made it begins
 * anew all the same. What is open but is not that file (a terminal, a pipe) is only written to. A log that can't be
 * written (a full disk) loses lines, and stops nobody.
 */
export function createCappedLog(descriptor: number, file: string, limit: number = logLimit): LogOutput {
  return {
    write(text) {
      try {
        if (isOpenAs(descriptor, file) && fstatSync(descriptor).size + Buffer.byteLength(text) > limit) {
          beginAnew(descriptor, file);
        }
        writeSync(descriptor, text);
      } catch {}
    },
  };
}

function isOpenAs(descriptor: number, file: string): boolean {
  const found = statSync(file, { throwIfNoEntry: false });
  const open = fstatSync(descriptor);
  return found?.isFile() === true && found.ino === open.ino && found.dev === open.dev;
}

function beginAnew(descriptor: number, file: string): void {
  const old = `${file}.1`;
  try {
    copyFileSync(file, old);
  } catch {
    rmSync(old, { force: true });
  } finally {
    ftruncateSync(descriptor, 0);
  }
}
