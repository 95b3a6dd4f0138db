import { type FileHandle, open, stat } from "node:fs/promises";
import { dirname, isAbsolute } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { Failure } from "../../../core/failure.ts";
import { resolveInside } from "../../../lib/files.ts";
import { hasCode } from "../../../lib/has-code.ts";
import type { LogReader } from "../../../ports/engine.ts";
import { type Cut, readAt, readCut } from "./cap-log.ts";
import { watchFolder } from "./watch-folder.ts";

/** Bytes read at once, and the most that one yielded text is made from. */
const chunkBytes = 64 * 1024;
/** The most that `lastLines` looks at: one line may be as long as a whole log. */
const lastLinesBytes = 256 * 1024;
/** Milliseconds between two looks where changes are not told of. */
const lookPeriod = 200;
/** Milliseconds after which a log that got shorter is no longer being cut. */
const cutTime = 20;

/** The last `count` lines of a text file, read from its end; none when there is no file. A very long line is cut. */
export async function lastLines(file: string, count: number): Promise<string[]> {
  const handle = await openIfThere(file);
  if (handle === undefined) return [];
  try {
    const { size } = await handle.stat();
    const start = await startOfLastLines(handle, size, count, lastLinesBytes);
    const text = (await readAt(handle, start, size - start)).toString("utf8");
    return text === "" ? [] : text.replace(/\r?\n$/, "").split(/\r?\n/);
  } finally {
    await handle.close();
  }
}

/**
 * Reads logs by paths relative to the home folder; what leads outside it fails with path-outside. A log that is not
 * there is an empty one, which may still come while it is followed. Following ends when the signal is aborted, after
 * all that was written before; so does reading without following.
 */
export function createLogReader(home: string): LogReader {
  return {
    async *read(reference, { tail, follow, signal }) {
      const file = await locate(home, reference);
      yield* followFile(file, tail, follow ? (signal ?? new AbortController().signal) : AbortSignal.abort());
    },
  };
}

async function locate(home: string, reference: string): Promise<string> {
  const file = isAbsolute(reference) ? undefined : await resolveInside(home, reference);
  if (file !== undefined) return file;
  throw new Failure("path-outside", `Cannot read the log "${reference}": it is not inside the home folder.`);
}

async function* followFile(file: string, tail: number | undefined, stop: AbortSignal): AsyncIterable<string> {
  const changes = watchFile(file, stop);
  let open: OpenLog | undefined;
  let lines = tail;
  try {
    for (;;) {
      // What was written before the abort is read in this round, the last.
      const last = stop.aborted;
      open ??= await openLog(file, lines);
      if (open !== undefined) {
        yield* open.news();
        if (await isReplaced(file, open)) {
          yield* open.end();
          open = undefined;
          lines = undefined;
          continue;
        }
      }
      if (last) break;
      await changes.next();
    }
    if (open !== undefined) yield* open.end();
  } finally {
    changes.close();
    await open?.close();
  }
}

/** A file as far as it was read. */
interface OpenLog {
  readonly inode: number;
  /** What it has now and was not read yet; what is written meanwhile is left, or a flood would never end. */
  news(): AsyncIterable<string>;
  /** The half character that nothing came after. */
  end(): AsyncIterable<string>;
  close(): Promise<void>;
}

async function openLog(file: string, tail: number | undefined): Promise<OpenLog | undefined> {
  const handle = await openIfThere(file);
  if (handle === undefined) return undefined;
  const { ino, size } = await handle.stat();
  let offset = tail === undefined ? 0 : await startOfLastLines(handle, size, tail, size);
  let cut = await readCut(handle);
  const decoder = new TextDecoder();
  return {
    inode: ino,
    async *news() {
      for (let left: number | undefined; left === undefined || left > 0; ) {
        let view = await look(handle);
        // Emptied, or just being cut: then the line that says so is not there yet.
        if (isSame(view.cut, cut) && offset > view.size) {
          await sleep(cutTime);
          view = await look(handle);
        }
        offset = offsetAfter(offset, cut, view.cut, view.size);
        cut = view.cut;
        if (offset >= view.size) return;
        left ??= view.size - offset;
        const chunk = await readAt(handle, offset, Math.min(chunkBytes, view.size - offset));
        const after = await look(handle);
        if (!isSame(after.cut, cut) || after.size < offset + chunk.length) continue;
        offset += chunk.length;
        left -= chunk.length;
        const text = decoder.decode(chunk, { stream: true });
        if (text !== "") yield text;
      }
    },
    async *end() {
      const text = decoder.decode();
      if (text !== "") yield text;
      await handle.close();
    },
    close: () => handle.close(),
  };
}

async function look(handle: FileHandle): Promise<{ readonly cut: Cut | undefined; readonly size: number }> {
  return { cut: await readCut(handle), size: (await handle.stat()).size };
}

function isSame(one: Cut | undefined, other: Cut | undefined): boolean {
  return one?.at === other?.at && one?.dropped === other?.dropped;
}

/**
 * Where to read on when the middle of the log may have been dropped since (cap-log): at the same text, or, when that is
 * gone, at the line that says so. A log that somebody emptied is read from its start.
 */
function offsetAfter(offset: number, before: Cut | undefined, now: Cut | undefined, size: number): number {
  if (now === undefined || isSame(before, now)) return offset <= size ? offset : 0;
  if (offset <= now.at) return offset;
  const original =
    before === undefined || offset < before.end ? offset : offset - before.end + before.at + before.dropped;
  const moved = original - now.at - now.dropped + now.end;
  return moved < now.end ? now.at : Math.min(moved, size);
}

/** Offset of the last `count` lines, or of the last `most` bytes where these are less. */
async function startOfLastLines(
  handle: FileHandle,
  size: number,
  count: number,
  most: number,
): Promise<number> {
  const lowest = Math.max(0, size - most);
  let lines = 0;
  for (let end = size; end > lowest; ) {
    const start = Math.max(lowest, end - chunkBytes);
    const chunk = await readAt(handle, start, end - start);
    for (let at = chunk.lastIndexOf("\n"); at >= 0; at = at === 0 ? -1 : chunk.lastIndexOf("\n", at - 1)) {
      // The newline at the very end ends the last line.
      if (start + at === size - 1 && count > 0) continue;
      lines += 1;
      if (lines >= count) return start + at + 1;
    }
    end = start;
  }
  return count === 0 ? size : lowest;
}

async function isReplaced(file: string, open: OpenLog): Promise<boolean> {
  try {
    return (await stat(file)).ino !== open.inode;
  } catch {
    return false; // Removed, and nothing in its place.
  }
}

async function openIfThere(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, "r");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

interface Changes {
  /** Settles when the file may have changed since the last call, and when it is time to stop. */
  next(): Promise<void>;
  close(): void;
}

/** Watches the folder, for the file may not be there yet; looks now and then as well, for not every system tells. */
function watchFile(file: string, stop: AbortSignal): Changes {
  let changed = false;
  let wake = (): void => {};
  const onChange = (): void => {
    changed = true;
    wake();
  };
  const watcher = stop.aborted ? undefined : watchFolder(dirname(file), onChange);
  stop.addEventListener("abort", onChange, { once: true });
  return {
    async next() {
      if (!changed) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        const timer = setTimeout(resolve, lookPeriod);
        await promise;
        clearTimeout(timer);
      }
      changed = false;
    },
    close() {
      watcher?.close();
      stop.removeEventListener("abort", onChange);
    },
  };
}
