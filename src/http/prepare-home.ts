import { mkdirSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";

import { Failure } from "../core/failure.ts";

/**
 * Refuses a home folder that is no folder, is another user's, or that others may write into: who can write there decides
 * what runs as us. One that is not there is as good as empty. Fails: home-unsafe.
 */
export function checkHome(home: string): void {
  const found = look(home);
  if (found === undefined) return;
  if (!found.isDirectory()) throw unsafe(home, "it is no folder");
  const user = process.getuid?.();
  if (user !== undefined && found.uid !== user) throw unsafe(home, "it belongs to another user");
  if ((found.mode & 0o022) !== 0) throw unsafe(home, "other users may write into it", `chmod 700 '${home}'`);
}

/** Makes the home folder (0700) when it is not there, and checks it. Fails: home-unsafe. */
export function prepareHome(home: string): void {
  try {
    makeFolder(home);
  } catch (error) {
    throw unsafe(home, `it can't be made (${(error as NodeJS.ErrnoException).code})`);
  }
  checkHome(home);
}

function look(home: string): Stats | undefined {
  try {
    return statSync(home);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw unsafe(home, `it can't be reached (${code})`);
  }
}

/** Not with `recursive`: where a folder that is there takes no new ones and says ENOENT (/proc), Node tries for ever. */
function makeFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false }) !== undefined) return;
  makeFolder(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Another command may just have made it. A link that leads nowhere is not there for all that.
    if (statSync(folder, { throwIfNoEntry: false }) === undefined) throw error;
  }
}

function unsafe(home: string, why: string, hint = "Choose another: BODYWORK_HOME."): Failure {
  return new Failure("home-unsafe", `Cannot use the home folder ${home}: ${why}.`, { hint });
}
