import { createHash } from "node:crypto";
import type { Dirent } from "node:fs";
import { lstat, open, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import type { Artifact } from "../ports/artifacts.ts";
import { type BytePath, bytesOfPath, toBytePath } from "./byte-paths.ts";
import { inParallel } from "./in-parallel.ts";

/**
 * Reads all of a file or a folder and says what it is. A file's digest is that of its bytes. A folder's is that of its
 * listing: for each entry, sorted by path, mode, digest and path below the folder (`100644 <64 hex> a/b`), each ended by
 * NUL. Modes are Git's: 040000 a folder (no digest), 100644 a file, 100755 one that its owner may execute, 120000 a link
 * (digest of where it leads). What must not be in an artifact at all is listed as 000000.
 */
export async function describeTree(path: string): Promise<Artifact> {
  const top = toBytePath(path);
  const stat = await lstat(bytesOfPath(top));
  if (!stat.isDirectory()) {
    const { digest, bytes } = await hashFile(top);
    return { digest: `sha256:${digest}`, kind: "file", bytes };
  }
  const listing = await list(top, "");
  const lines = listing.toSorted((left, right) => (left.path < right.path ? -1 : 1));
  const hash = createHash("sha256");
  for (const { mode, digest, path: below } of lines) hash.update(`${mode} ${digest} ${below}\0`, "latin1");
  const bytes = lines.reduce((sum, line) => sum + line.bytes, 0);
  return { digest: `sha256:${hash.digest("hex")}`, kind: "folder", bytes };
}

interface Line {
  readonly mode: string;
  readonly digest: string;
  readonly path: BytePath;
  readonly bytes: number;
}

const filesAtOnce = 4;

async function list(top: BytePath, folder: BytePath): Promise<readonly Line[]> {
  const entries = await readdir(bytesOfPath(join(top, folder)), { encoding: "latin1", withFileTypes: true });
  const lines: Line[] = [];
  await inParallel(filesAtOnce, entries, async (entry) => {
    lines.push(await lineOf(top, join(folder, entry.name), entry));
  });
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    for (const line of await list(top, join(folder, name))) lines.push(line);
  }
  return lines;
}

async function lineOf(top: BytePath, path: BytePath, entry: Dirent): Promise<Line> {
  const absolute = join(top, path);
  if (entry.isDirectory()) return { mode: "040000", digest: "", path, bytes: 0 };
  if (entry.isSymbolicLink()) {
    const goal = await readlink(bytesOfPath(absolute), "latin1");
    return { mode: "120000", digest: sha256(goal), path, bytes: 0 };
  }
  if (!entry.isFile()) return { mode: "000000", digest: "", path, bytes: 0 };
  const { mode, digest, bytes } = await hashFile(absolute);
  return { mode: (mode & 0o100) === 0 ? "100644" : "100755", digest, path, bytes };
}

const chunkBytes = 1024 * 1024;

async function hashFile(path: BytePath): Promise<{ mode: number; digest: string; bytes: number }> {
  const file = await open(bytesOfPath(path), "r");
  try {
    const { mode, size } = await file.stat();
    const hash = createHash("sha256");
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, size + 1));
    let bytes = 0;
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
      if (bytesRead === 0) break;
      hash.update(chunk.subarray(0, bytesRead));
      bytes += bytesRead;
    }
    return { mode, digest: hash.digest("hex"), bytes };
  } finally {
    await file.close();
  }
}

function sha256(text: BytePath): string {
  return createHash("sha256").update(text, "latin1").digest("hex");
}
