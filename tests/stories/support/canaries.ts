import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { maskForms } from "../../../src/core/mask.ts";

/** Looks for values that must not be anywhere, in every form that a log is masked for. */
export interface Canaries {
  /** True when the text, or bytes, has one of them. */
  isIn(text: string | Uint8Array): boolean;
  /** Files below the folder that have one in their bytes or in their name, by their paths in it. */
  filesBelow(folder: string): readonly string[];
}

export function canariesOf(values: Iterable<string>): Canaries {
  const forms = maskForms(values).map((form) => Buffer.from(form));
  const isIn = (text: string | Uint8Array): boolean => {
    const bytes = Buffer.from(text);
    return forms.some((form) => bytes.includes(form));
  };
  return {
    isIn,
    filesBelow: (folder) =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .filter((path) => isIn(relative(folder, path)) || isIn(readFileSync(path)))
        .map((path) => relative(folder, path)),
  };
}

/** Looks at the command lines of all processes, every 20 ms, until it is told to stop. Linux only: elsewhere it sees none. */
export function watchCommandLines(canaries: Canaries): { stop(): readonly string[] } {
  const seen = new Set<string>();
  const timer = setInterval(() => {
    for (const line of commandLines()) if (canaries.isIn(line)) seen.add(line);
  }, 20);
  return {
    stop() {
      clearInterval(timer);
      return [...seen];
    },
  };
}

function commandLines(): readonly string[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(commandLineOf);
  } catch {
    return [];
  }
}

function commandLineOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return ""; // It has ended.
  }
}
