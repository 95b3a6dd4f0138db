import { mkdirSync, statSync } from "node:fs";

import { Failure } from "../core/failure.ts";

/**
 * Makes the home folder (0700) when it is not there. Fails: home-unsafe when it is another user's, or when others may
 * write into it: who can write there decides what runs as us.
 */
export function prepareHome(home: string): void {
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw unsafe(home, `it can't be made (${(error as NodeJS.ErrnoException).code})`);
  }
  const { uid, mode } = statSync(home);
  const user = process.getuid?.();
  if (user !== undefined && uid !== user) throw unsafe(home, "it belongs to another user");
  if ((mode & 0o022) !== 0) throw unsafe(home, "other users may write into it", `chmod 700 '${home}'`);
}

function unsafe(home: string, why: string, hint = "Choose another: BODYWORK_HOME."): Failure {
  return new Failure("home-unsafe", `Cannot use the home folder ${home}: ${why}.`, { hint });
}
