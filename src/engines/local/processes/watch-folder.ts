import { type FSWatcher, watch } from "node:fs";

/**
 * Calls `onChange` when something in the folder changes. Undefined when it can't be watched: whoever uses it looks now
 * and then as well, for not every file system tells of all changes.
 */
export function watchFolder(folder: string, onChange: () => void): FSWatcher | undefined {
  try {
    return watch(folder, onChange).on("error", () => {});
  } catch {
    return undefined; // No such folder yet, or no more watches to be had.
  }
}
