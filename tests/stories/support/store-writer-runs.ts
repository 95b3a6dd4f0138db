import { spawn } from "node:child_process";
import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { openStore } from "../../../src/store/sqlite-store.ts";
import { halfWrites, storeWrites } from "../../support/store-writes.ts";
import { storeWriter } from "../../support/strace.ts";

/** Numbers that a writer comes to; each is written in every kind. */
const numbers = 18;

export interface WriterOptions {
  /** What the writer is run under. */
  readonly before?: readonly string[];
  readonly first?: number;
  readonly last?: number;
  readonly mode?: "restarts" | "steady" | "naive";
  /** Milliseconds from the first acknowledgement. */
  readonly killAfter?: number;
}

export interface Written {
  readonly lines: readonly string[];
  readonly stderr: string;
  readonly exitCode: number | null;
}

export async function runWriter(
  file: string,
  { before = [], first = 1, last = first + numbers - 1, mode = "restarts", killAfter }: WriterOptions,
): Promise<Written> {
  const end = killAfter === undefined ? last : 0;
  const writer = [process.execPath, storeWriter, file, String(first), String(end), mode];
  const [program = "", ...args] = [...before, ...writer];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => (output.stdout += chunk));
  child.stderr.on("data", (chunk) => (output.stderr += chunk));
  const ended = once(child, "close");
  if (killAfter !== undefined) {
    await Promise.race([once(child.stdout, "data"), ended]);
    await sleep(killAfter);
    child.kill("SIGKILL");
  }
  const [exitCode] = await ended;
  // A line that is not whole was not heard.
  return { lines: output.stdout.split("\n").slice(0, -1), stderr: output.stderr, exitCode };
}

export function acknowledged(
  lines: readonly string[],
): readonly { readonly kind: string; readonly number: number }[] {
  return lines.flatMap((line) => {
    const [, kind, number] = /^done (.+) (\d+)$/.exec(line) ?? [];
    return kind === undefined ? [] : [{ kind, number: Number(number) }];
  });
}

export function refusals(lines: readonly string[]): readonly string[] {
  return lines.flatMap((line) => (line.startsWith("refused ") ? [line.slice("refused ".length)] : []));
}

/** What is missing of what was acknowledged, half of a whole, or wrong with the file; and whether it can be used. */
export function lost(file: string, lines: readonly string[]): readonly string[] {
  const store = openStore(file);
  try {
    const missing = acknowledged(lines).filter(
      ({ kind, number }) => !storeWrites[kind]?.isThere(store, number),
    );
    const halves = halfWrites(store);
    storeWrites.run?.write(store, 999_999);
    return [...missing.map(({ kind, number }) => `${kind} ${number}`), ...halves, ...integrityFaults(file)];
  } finally {
    store.close();
  }
}

function integrityFaults(file: string): readonly string[] {
  const database = new DatabaseSync(file, { readOnly: true });
  const found = database
    .prepare("PRAGMA integrity_check")
    .all()
    .map((row) => String(row.integrity_check));
  database.close();
  return found.filter((text) => text !== "ok");
}
