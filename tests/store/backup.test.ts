import { linkSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { openReader, openStore } from "../../src/store/sqlite-store.ts";
import { smallDisk } from "../lib/support/small-disk.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { aRun, aSecret } from "./records.ts";

const details = ["x".repeat(2_000)];

test("a backup beside a writer that goes on is whole: every row told of before it began, and none by half", async () => {
  const folder = temporaryFolder("store");
  const store = openStore(join(folder, "store.db"));
  for (let number = 0; number < 500; number += 1) store.saveRun(aRun(id(number), { details }));
  const copied = store.backup(join(folder, "copy.db"));
  let written = 500;
  let done = false;
  void copied.finally(() => (done = true));
  while (!done) {
    store.saveRun(aRun(id(written), { details }), {
      event: { kind: "notice", level: "info", text: id(written) },
      at: new Date(),
    });
    written += 1;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await copied;
  store.close();
  const copy = openStore(join(folder, "copy.db"));
  const runs = copy.runs({}).map((run) => run.id);
  expect(runs.length).toBeGreaterThanOrEqual(500);
  expect(runs).toEqual(Array.from({ length: runs.length }, (_, index) => id(runs.length - 1 - index)));
  for (const run of runs) expect(copy.events(run, 0)).toHaveLength(Number(run) < 500 ? 0 : 1);
  copy.close();
  expect(written).toBeGreaterThan(500);
});

test("a backup is one file for its owner only, which replaces an earlier one, and leaves nothing else", async () => {
  const folder = temporaryFolder("store");
  const store = openStore(join(folder, "store.db"));
  mkdirSync(join(folder, "backups"));
  const target = join(folder, "backups", "copy.db");
  for (const number of [1, 2]) {
    store.saveRun(aRun(String(number)));
    store.saveSecret(aSecret("prod", "db", number));
    await store.backup(target);
    expect(readdirSync(join(folder, "backups"))).toEqual(["copy.db"]);
    expect(statSync(target).mode & 0o777).toBe(0o600);
    const reader = openReader(target);
    expect(reader?.runs({})).toHaveLength(number);
    expect(reader?.secrets({}).map(({ version }) => version)).toEqual([number]);
    reader?.close();
    for (const rest of ["-wal", "-shm"])
      expect(readdirSync(join(folder, "backups"))).not.toContain(`copy.db${rest}`);
  }
  store.close();
});

test("a backup over the store itself, or where nothing can be written, is refused", async () => {
  const folder = temporaryFolder("store");
  const file = join(folder, "store.db");
  const store = openStore(file);
  store.saveRun(aRun("1"));
  linkSync(file, join(folder, "alias"));
  mkdirSync(join(folder, "folder"));
  for (const target of [file, `${file}-wal`, join(folder, "alias")]) {
    await expect(store.backup(target)).rejects.toThrow(
      expect.objectContaining({ code: "usage", message: expect.stringContaining("the store itself") }),
    );
  }
  for (const target of [join(folder, "nowhere", "copy.db"), join(folder, "folder")]) {
    await expect(store.backup(target)).rejects.toThrow(
      expect.objectContaining({ code: "usage", message: expect.stringContaining(target) }),
    );
  }
  expect(store.run("1")?.id).toBe("1");
  expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  store.close();
});

test("a backup that does not fit leaves the earlier one as it was, and the store goes on", async (context) => {
  const small = await smallDisk(context, 256);
  const store = openStore(join(temporaryFolder("store"), "store.db"));
  const target = join(small, "copy.db");
  store.saveRun(aRun("1"));
  await store.backup(target);
  const before = readFileSync(target);
  for (let number = 2; number < 200; number += 1) store.saveRun(aRun(String(number), { details }));
  await expect(store.backup(target)).rejects.toThrow(
    expect.objectContaining({ code: "disk-full", message: expect.stringContaining(target) }),
  );
  expect(readdirSync(small)).toEqual(["copy.db"]);
  expect(readFileSync(target).equals(before)).toBe(true);
  store.saveRun(aRun("200"));
  expect(store.run("200")?.id).toBe("200");
  store.close();
});

test("of a store that is damaged there is no backup: the earlier one stays", async () => {
  const folder = temporaryFolder("store");
  const file = join(folder, "store.db");
  const store = openStore(file);
  for (let number = 0; number < 200; number += 1) store.saveRun(aRun(id(number), { details }));
  await store.backup(join(folder, "copy.db"));
  store.close();
  const damaged = openStore(file);
  const bytes = readFileSync(file);
  bytes.fill(0, 40 * 4096, 44 * 4096);
  writeFileSync(file, bytes);
  await expect(damaged.backup(join(folder, "copy.db"))).rejects.toThrow(
    expect.objectContaining({ code: "store-damaged", message: expect.stringContaining(file) }),
  );
  damaged.close();
  const copy = new DatabaseSync(join(folder, "copy.db"));
  expect(copy.prepare("SELECT count(*) AS count FROM runs").get()).toEqual({ count: 200 });
  copy.close();
});

function id(number: number): string {
  return String(number).padStart(6, "0");
}
