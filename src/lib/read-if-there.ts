import { readdirSync, readFileSync } from "node:fs";

/** What `read` returns; undefined when it throws, because what it looks at is not there, or can't be read. */
export function whenThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The text of a file in UTF-8. */
export function textIfThere(path: string): string | undefined {
  return whenThere(() => readFileSync(path, "utf8"));
}

/** What a file of JSON says, taken to be of this type; undefined also when it is not whole. */
export function jsonIfThere<T>(path: string): T | undefined {
  return whenThere(() => JSON.parse(readFileSync(path, "utf8")) as T);
}

/** The names in a folder; none when it is not there, or can't be read. */
export function entriesIfThere(folder: string): readonly string[] {
  return whenThere(() => readdirSync(folder)) ?? [];
}
