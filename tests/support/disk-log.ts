import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Random } from "./random.ts";

/** What a process has told the disk, and its reader, one after the other. */
export type DiskCall =
  | { readonly kind: "write"; readonly file: string; readonly data: Buffer; readonly offset: number }
  | { readonly kind: "truncate"; readonly file: string; readonly size: number }
  | { readonly kind: "sync"; readonly file: string }
  | { readonly kind: "remove"; readonly file: string }
  | { readonly kind: "told"; readonly text: string };

/** The beginning of a command line: the program behind it has its calls written down for `readDiskLog`. */
export function recorded(log: string): readonly string[] {
  const calls = "pwrite64,ftruncate,fsync,fdatasync,unlink,write";
  // All strings whole and in hexadecimal, files by name.
  return ["strace", "-qq", "-y", "-xx", "-s", "1000000", "-o", log, "-e", `trace=${calls}`];
}

/** As far as they concern the files in a folder, the folder itself, and standard output. */
export function readDiskLog(log: string, folder: string): readonly DiskCall[] {
  const calls = readFileSync(log, "latin1").split("\n").flatMap(parseCall);
  return calls.filter(
    (call) => call.kind === "told" || call.file === folder || dirname(call.file) === folder,
  );
}

function parseCall(line: string): readonly DiskCall[] {
  const [, call, rest, result] = /^(\w+)\((.*)\)\s+= (-?\d+)/.exec(line) ?? [];
  if (rest === undefined || Number(result) < 0) return [];
  const [, descriptor, path = ""] = /^(\d+)<([^>]*)>/.exec(rest) ?? [];
  const file = bytesOf(path).toString();
  const [, string = "", numbers = ""] = /"([^"]*)"(.*)$/.exec(rest) ?? [];
  if (call === "pwrite64") {
    return [{ kind: "write", file, data: bytesOf(string), offset: Number(numbers.split(", ")[2]) }];
  }
  if (call === "ftruncate") return [{ kind: "truncate", file, size: Number(rest.split(", ")[1]) }];
  if (call === "fsync" || call === "fdatasync") return [{ kind: "sync", file }];
  if (call === "unlink") return [{ kind: "remove", file: bytesOf(string).toString() }];
  return descriptor === "1" ? [{ kind: "told", text: bytesOf(string).toString() }] : [];
}

function bytesOf(escaped: string): Buffer {
  return Buffer.from(escaped.replaceAll("\\x", ""), "hex");
}

/** A file's content, whatever its name is. */
interface Content {
  /** What is on the disk for sure; the buffer may be longer than the file. */
  safe: { bytes: Buffer; size: number };
  /** What the disk was told since, of which anything may have reached it. */
  waiting: Change[];
}

type Change = Extract<DiskCall, { kind: "write" | "truncate" }>;

export interface PowerCutOptions {
  /** A disk that says it has stored what it has not: these files are never synced. */
  readonly lies?: (file: string) => boolean;
}

/**
 * Writes into `target` what a disk may hold when the power is cut after these calls: all that was synced, and of what was
 * not any part, by sectors of 512 bytes and in any order. Names are as safe as the last sync of their folder.
 */
export function cutPower(
  calls: readonly DiskCall[],
  target: string,
  random: Random,
  { lies = () => false }: PowerCutOptions = {},
): void {
  const names = new Map<string, Content>();
  let safeNames = new Map<string, Content>();
  for (const call of calls) {
    if (call.kind === "told") continue;
    if (call.kind === "remove") names.delete(call.file);
    else if (call.kind === "sync") {
      const content = names.get(call.file);
      if (content === undefined) safeNames = new Map(names);
      else if (!lies(call.file)) {
        for (const waiting of content.waiting.splice(0)) apply(content.safe, waiting);
      }
    } else contentOf(names, call.file).waiting.push(call);
  }
  mkdirSync(target, { recursive: true });
  const likelihood = random.pick([0, 0.5, 1]);
  for (const name of new Set([...names.keys(), ...safeNames.keys()])) {
    const content = (random.chance(0.5) ? names : safeNames).get(name);
    if (content === undefined) continue;
    const { safe, waiting } = content;
    for (const call of waiting) {
      for (const part of partsOf(call)) if (random.chance(likelihood)) apply(safe, part);
    }
    writeFileSync(join(target, basename(name)), safe.bytes.subarray(0, safe.size));
  }
}

function contentOf(names: Map<string, Content>, file: string): Content {
  const content = names.get(file) ?? { safe: { bytes: Buffer.alloc(0), size: 0 }, waiting: [] };
  names.set(file, content);
  return content;
}

function partsOf(call: Change): readonly Change[] {
  if (call.kind === "truncate") return [call];
  const parts: Change[] = [];
  for (let at = 0; at < call.data.length; at += 512) {
    parts.push({ ...call, data: call.data.subarray(at, at + 512), offset: call.offset + at });
  }
  return parts;
}

function apply(file: Content["safe"], call: Change): void {
  const end = call.kind === "truncate" ? call.size : call.offset + call.data.length;
  if (end > file.bytes.length) file.bytes = Buffer.concat([file.bytes], 2 * end);
  if (call.kind === "write") call.data.copy(file.bytes, call.offset);
  else file.bytes.fill(0, call.size);
  file.size = call.kind === "truncate" ? call.size : Math.max(file.size, end);
}
