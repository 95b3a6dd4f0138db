import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { lstat, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, resolve, sep } from "node:path";

/**
 * Replaces a file so that a reader, also one after a crash, sees the old content or the new, whole: temporary file,
 * fsync, rename, fsync of the folder. The file's mode is 0600 unless said otherwise; missing folders are made with 0700.
 */
export function writeFileAtomic(path: string, content: string | Uint8Array, mode = 0o600): void {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const temporary = join(folder, `.${randomBytes(6).toString("hex")}.tmp`);
  try {
    const file = openSync(temporary, "wx", mode);
    try {
      writeFileSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  const directory = openSync(folder, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/**
 * The absolute path of `path` inside `root`, or undefined when it is not there to have: absolute, with NUL or a
 * backslash, longer than 4096 characters, or leading outside, be it by `..` or through a link. What does not exist
 * (yet) is judged by its nearest parent that does.
 */
export async function resolveInside(root: string, path: string): Promise<string | undefined> {
  if (path === "" || path.length > 4096 || /[\0\\]/.test(path) || isAbsolute(path)) return undefined;
  const realRoot = await realpath(root);
  const lexical = resolve(realRoot, path);
  if (!isInside(realRoot, lexical)) return undefined;
  let existing = lexical;
  while (!(await exists(existing))) existing = dirname(existing);
  let real: string;
  try {
    real = await realpath(existing);
  } catch {
    return undefined; // A dangling or circular link: nobody can say where it leads.
  }
  if (!isInside(realRoot, real)) return undefined;
  return join(real, relative(existing, lexical));
}

/** True when `path` is `root` or below it; both absolute and without `..`. */
export function isInside(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch {
    return false;
  }
}
