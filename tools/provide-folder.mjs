/** Folders of the cache: whole or not there. Runs on Node 20. */

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { SetupProblem } from "./problems.mjs";

/**
 * A folder of the cache, filled by `fill` when it is not there. It appears whole or not at all; when two fill it at
 * once, the first one's stays.
 *
 * @param {string} cache
 * @param {string} name
 * @param {(target: string) => Promise<void>} fill
 */
export async function provideFolder(cache, name, fill) {
  const folder = join(cache, name);
  if (existsSync(folder)) return folder;
  makeFolder(cache);
  sweepAbandoned(cache);
  const temporary = join(cache, `${temporaryPrefix}${randomBytes(6).toString("hex")}`);
  makeFolder(temporary);
  try {
    await fill(temporary);
    try {
      renameSync(temporary, folder);
    } catch (error) {
      if (!existsSync(folder)) throw error;
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true, maxRetries: 3 });
  }
  return folder;
}

/**
 * Makes a folder in or below the cache folder, for nobody else to read.
 *
 * @param {string} path
 */
export function makeFolder(path) {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    throw new SetupProblem(
      `${path} can't be made (${code}); set BODYWORK_CACHE to a folder that you may write to`,
    );
  }
}

const temporaryPrefix = ".making-";

/** Half-made folders of a set-up that was killed: a day old, so that nobody still fills them. @param {string} cache */
function sweepAbandoned(cache) {
  for (const name of readdirSync(cache).filter((entry) => entry.startsWith(temporaryPrefix))) {
    const path = join(cache, name);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > 24 * 60 * 60 * 1000) rmSync(path, { recursive: true, force: true });
  }
}
