import { statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** 64 MiB: what a log may grow to before its middle is dropped. */
export const defaultLogCap = 64 * 1024 * 1024;

/** Bytes at the start of a log that are always kept: what a program says as it starts. */
const headBytes = 64 * 1024;
/** What is written meanwhile is carried over, this often. */
const catchUps = 3;
const chunkBytes = 1024 * 1024;

/**
 * Brings a log that is longer than `cap` bytes (at least 512 KiB) down to its first 64 KiB, a line that says how many
 * bytes were dropped, and the last quarter of `cap`. The program goes on appending to the same file and notices nothing.
 *
 * Promised: the first 64 KiB and at least the last quarter of `cap` are there, in order, and the number is right. Not
 * promised: what a program writes in the moment in which its log is cut may be dropped too; the number has it. Who reads
 * the middle in that moment may see lines twice.
 */
export async function capLog(file: string, cap: number): Promise<void> {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= cap) return;
  const handle = await open(file, "r+");
  try {
    const before = await readCut(handle);
    const at = before?.at ?? (await endOfHead(handle));
    const from = await lineStart(handle, size - Math.floor(cap / 4));
    let target = at + cutLine(0).length;
    let source = from;
    for (let round = 0, end = size; round < catchUps; round++, end = (await handle.stat()).size) {
      target += await copyWithin(handle, source, end, target);
      source = end;
    }
    const lost = (await handle.stat()).size - source;
    await handle.truncate(target);
    const dropped = (before?.dropped ?? 0) + from - (before?.end ?? at) + lost;
    // Last, so that readers who see it find all in its new place.
    await writeAll(handle, cutLine(dropped), at);
  } finally {
    await handle.close();
  }
}

/** Where a log was cut. */
export interface Cut {
  /** Offsets of the line that says so. */
  readonly at: number;
  readonly end: number;
  /** Bytes that were between the text before it and the text after it. */
  readonly dropped: number;
}

/** Undefined when the log was never cut. */
export async function readCut(handle: FileHandle): Promise<Cut | undefined> {
  const head = await readAt(handle, 0, headBytes + cutLine(0).length);
  const match = head.toString("latin1").match(/\[bodywork: +(\d+) bytes of the log were dropped here\]\n/);
  if (match?.index === undefined) return undefined;
  return { at: match.index, end: match.index + match[0].length, dropped: Number(match[1]) };
}

/** Always of the same length. */
function cutLine(dropped: number): Buffer {
  return Buffer.from(`[bodywork: ${String(dropped).padStart(15)} bytes of the log were dropped here]\n`);
}

async function endOfHead(handle: FileHandle): Promise<number> {
  const head = await readAt(handle, 0, headBytes);
  return head.lastIndexOf("\n") + 1 || headBytes;
}

/** The first line that begins at or soon after `offset`; `offset` itself when the lines are very long. */
async function lineStart(handle: FileHandle, offset: number): Promise<number> {
  const text = await readAt(handle, offset, headBytes);
  return offset + text.indexOf("\n") + 1;
}

/** Returns how many bytes there were to copy. */
async function copyWithin(handle: FileHandle, from: number, end: number, to: number): Promise<number> {
  let copied = 0;
  while (from + copied < end) {
    const chunk = await readAt(handle, from + copied, Math.min(chunkBytes, end - from - copied));
    if (chunk.length === 0) break;
    await writeAll(handle, chunk, to + copied);
    copied += chunk.length;
  }
  return copied;
}

/** As much of `length` bytes as the file has. */
export async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

async function writeAll(handle: FileHandle, bytes: Buffer, offset: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    written += (await handle.write(bytes, written, bytes.length - written, offset + written)).bytesWritten;
  }
}
