import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";

import { entriesIfThere } from "../lib/read-if-there.ts";

/**
 * The store's backup as bytes. The copies are made in `folder`; those of an earlier server that was killed go, and nothing
 * else that is there.
 */
export function createBackupStream(
  folder: string,
  backup: (file: string) => Promise<void>,
): () => AsyncIterable<Uint8Array> {
  for (const name of entriesIfThere(folder)) {
    if (ofCopies.test(name)) rmSync(join(folder, name), { force: true });
  }
  return async function* () {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const file = join(folder, `.${randomBytes(6).toString("hex")}.backing-up`);
    try {
      await backup(file);
      const copy = await open(file);
      // It is there as long as it is read.
      rmSync(file);
      yield* copy.createReadStream();
    } finally {
      rmSync(file, { force: true });
    }
  };
}

/** Names of the copies, and of what the store makes beside each until it is whole. */
const ofCopies = /^\.{1,2}[0-9a-f]{12}\.backing-up(\.[0-9a-f]{12}\.tmp(-[a-z]+)?)?$/;
