import { resolve } from "node:path";

import { Failure } from "../core/failure.ts";
import { readBounded } from "../lib/read-bounded.ts";
import type { CliIo } from "./cli-io.ts";

/**
 * The file that was named on the command line, of at most so many bytes; `-` for standard input, as text in UTF-8. Fails:
 * usage (it can't be read, or is bigger).
 */
export async function readNamedFile(name: string, most: number, io: CliIo): Promise<Uint8Array> {
  const bytes = name === "-" ? Buffer.from(await io.readInput()) : read(name, most + 1, io);
  if (bytes.length <= most) return bytes;
  throw new Failure("usage", `Cannot read ${nameOf(name)}: it is bigger than ${most} bytes.`);
}

/** The same as text. Fails: usage (it is no UTF-8) too. */
export async function readNamedText(name: string, most: number, io: CliIo): Promise<string> {
  const bytes = await readNamedFile(name, most, io);
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    // What standard input had in place of it is lost already.
    if (name !== "-" || !text.includes("\ufffd")) return text;
  } catch {
    // It is said below.
  }
  throw new Failure("usage", `Cannot read ${nameOf(name)}: it is no text in UTF-8.`);
}

function read(name: string, most: number, io: CliIo): Uint8Array {
  try {
    return readBounded(resolve(io.workingFolder, name), most);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a folder" : code;
    throw new Failure("usage", `Cannot read ${name}: ${why}.`, { cause: error });
  }
}

/** For people. */
export function nameOf(name: string): string {
  return name === "-" ? "standard input" : name;
}
