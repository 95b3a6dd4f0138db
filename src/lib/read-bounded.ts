import { closeSync, openSync, readSync, statSync } from "node:fs";

/**
 * The first `most` bytes of a regular file, or of what comes through a pipe. Throws what `open` does, EISDIR for a folder,
 * and ENODEV for what is neither: a device may have no end (`/dev/zero`), a terminal waits for somebody.
 */
export function readBounded(path: string, most: number): Buffer {
  const found = statSync(path);
  if (!found.isFile() && !found.isFIFO()) {
    const code = found.isDirectory() ? "EISDIR" : "ENODEV";
    throw Object.assign(new Error(`${code}: ${path} is no file`), { code });
  }
  const file = openSync(path, "r");
  try {
    const chunks: Buffer[] = [];
    for (let left = most; left > 0; ) {
      const buffer = Buffer.allocUnsafe(Math.min(left, 64 * 1024));
      const length = readSync(file, buffer, 0, buffer.length, null);
      if (length === 0) break;
      chunks.push(buffer.subarray(0, length));
      left -= length;
    }
    return Buffer.concat(chunks);
  } finally {
    closeSync(file);
  }
}
