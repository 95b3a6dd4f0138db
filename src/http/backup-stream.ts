import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";

/**
 * The store's backup as bytes. The copy is made in `folder`, which is for that alone: what is in it is of an earlier server
 * that was killed, and goes.
 */
export function createBackupStream(
  folder: string,
  backup: (file: string) => Promise<void>,
): () => AsyncIterable<Uint8Array> {
  rmSync(folder, { recursive: true, force: true });
  return async function* () {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const file = join(folder, `${randomBytes(6).toString("hex")}.db`);
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
