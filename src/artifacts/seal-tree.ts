import { constants } from "node:fs";
import { chmod, lstat, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type BytePath, bytesOfPath, toBytePath } from "./byte-paths.ts";
import { inParallel } from "./in-parallel.ts";

/**
 * Takes the write permission from all that is at `path` and puts it on the disk. The topmost folder itself stays
 * writable: one that is not can't be moved to another folder.
 */
export async function sealTree(path: string): Promise<void> {
  const top = toBytePath(path);
  const stat = await lstat(bytesOfPath(top));
  if (stat.isDirectory()) await sealFolder(top);
  else await sealFile(top);
}

/** Removes a tree, sealed or not, that nobody else works in; nothing when there is none. */
export async function removeTree(path: string): Promise<void> {
  const top = toBytePath(path);
  const stat = await lstat(bytesOfPath(top)).catch(() => undefined);
  if (stat?.isDirectory()) await openFolders(top);
  await rm(bytesOfPath(top), { recursive: true, force: true });
}

/** Puts a folder's own entries on the disk. */
export async function syncFolder(path: string): Promise<void> {
  await sync(toBytePath(path), undefined);
}

const filesAtOnce = 8;

async function sealFolder(folder: BytePath): Promise<void> {
  const entries = await readdir(bytesOfPath(folder), { encoding: "latin1", withFileTypes: true });
  await inParallel(filesAtOnce, entries, async (entry) => {
    if (entry.isFile()) await sealFile(join(folder, entry.name));
  });
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    await sealFolder(join(folder, name));
    await chmod(bytesOfPath(join(folder, name)), 0o500);
  }
  await sync(folder, undefined);
}

async function sealFile(path: BytePath): Promise<void> {
  const { mode } = await lstat(bytesOfPath(path));
  await sync(path, (mode & 0o100) === 0 ? 0o400 : 0o500);
}

async function sync(path: BytePath, mode: number | undefined): Promise<void> {
  const handle = await open(bytesOfPath(path), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    if (mode !== undefined) await handle.chmod(mode);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function openFolders(folder: BytePath): Promise<void> {
  await chmod(bytesOfPath(folder), 0o700);
  const entries = await readdir(bytesOfPath(folder), { encoding: "latin1", withFileTypes: true });
  for (const entry of entries) if (entry.isDirectory()) await openFolders(join(folder, entry.name));
}
