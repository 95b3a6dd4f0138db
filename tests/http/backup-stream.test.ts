import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import { createBackupStream } from "../../src/http/backup-stream.ts";
import { writeNewFile } from "../../src/lib/write-new-file.ts";
import { hashOfToken } from "../../src/operations/access-tokens.ts";
import { restoreStore } from "../../src/store/restore.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../support/temporary.ts";

test("a backup beside a running store, carried over and put back, is the store as it was", async () => {
  const folder = temporaryFolder();
  const store = openStore(join(folder, "store.db"));
  const times = { createdAt: "2026-11-25T12:00:00.000Z", expiresAt: undefined, lastUsedAt: undefined };
  store.saveToken({ id: "1", name: "before", scopes: ["read"], ...times }, hashOfToken("a"));
  const backup = createBackupStream(join(folder, "backing-up"), store.backup);
  await writeNewFile(join(folder, "copy.db"), backup());
  expect(readdirSync(join(folder, "backing-up"))).toEqual([]);
  store.saveToken({ id: "2", name: "after", scopes: ["read"], ...times }, hashOfToken("b"));
  store.close();
  restoreStore(join(folder, "store.db"), join(folder, "copy.db"), new Date());
  const restored = openStore(join(folder, "store.db"));
  expect(restored.tokens().map(({ name }) => name)).toEqual(["before"]);
  restored.close();
});

test("nothing is left behind by a backup that fails, that nobody reads to its end, or that was cut by a kill", async () => {
  const folder = join(temporaryFolder(), "backing-up");
  mkdirSync(folder);
  writeFileSync(join(folder, ".0123456789ab.backing-up"), "of a server that was killed");
  writeFileSync(join(folder, "my-backup.db"), "of the user");
  let fails = true;
  const backup = createBackupStream(folder, async (file) => {
    writeFileSync(file, "x".repeat(1_000_000));
    if (fails) throw new Failure("disk-full", "The disk is full.");
  });
  expect(readdirSync(folder)).toEqual(["my-backup.db"]);
  await expect(
    (async () => {
      for await (const _ of backup());
    })(),
  ).rejects.toMatchObject({ code: "disk-full" });
  expect(readdirSync(folder)).toEqual(["my-backup.db"]);
  fails = false;
  for await (const chunk of backup()) {
    expect(chunk.length).toBeGreaterThan(0);
    expect(readdirSync(folder)).toEqual(["my-backup.db"]);
    break;
  }
});

test("a copy that the store had not finished when the server was killed goes with the next server", async () => {
  const home = temporaryFolder();
  const folder = join(home, "backing-up");
  mkdirSync(folder);
  const store = openStore(join(home, "store.db"));
  const copying = store.backup(join(folder, ".0123456789ab.backing-up"));
  // SQLite may have its journal beside it already.
  const half = readdirSync(folder).filter((name) => !name.endsWith("-journal"));
  expect(half).toHaveLength(1);
  await copying;
  store.close();
  for (const name of half) {
    for (const suffix of ["", "-journal", "-wal"]) writeFileSync(join(folder, name + suffix), "half");
  }
  createBackupStream(folder, store.backup);
  expect(readdirSync(folder)).toEqual([]);
});
