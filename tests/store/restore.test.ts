import { copyFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { restoreStore } from "../../src/store/restore.ts";
import { openReader, openStore } from "../../src/store/sqlite-store.ts";
import { startProgram } from "../lib/support/programs.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { aRun } from "./records.ts";

const now = new Date("2026-11-25T08:00:00.123Z");
const aside = (file: string): string => `${file}.replaced-20261125T080000123Z`;

/** A store with the run `present`, and a backup of it from when it had `past` only. */
async function storeAndBackup(): Promise<{ readonly file: string; readonly backup: string }> {
  const folder = temporaryFolder("store");
  const [file, backup] = [join(folder, "store.db"), join(temporaryFolder("backup"), "copy.db")];
  const store = openStore(file);
  store.saveRun(aRun("past"));
  await store.backup(backup);
  store.saveRun(aRun("present"));
  store.close();
  return { file, backup };
}

function runsIn(file: string): readonly string[] {
  const store = openStore(file);
  const ids = store.runs({}).map(({ id }) => id);
  store.close();
  return ids;
}

/** The store's files, left as by a writer that was killed: with a log that is not in the file. */
async function withLog(file: string): Promise<void> {
  const program = startProgram(
    `const { openStore } = await src("store/sqlite-store.ts");
     const store = openStore(process.argv[1]);
     store.saveDocument("late", "late", { late: true });
     console.log("written");
     setInterval(() => {}, 1000);`,
    [file],
  );
  await program.printed("written");
  await program.kill();
  expect(statSync(`${file}-wal`).size).toBeGreaterThan(0);
}

function hasLateDocument(file: string): boolean {
  const store = openStore(file);
  const late = store.document("late", "late") !== undefined;
  store.close();
  return late;
}

test("a backup takes the store's place, and the store that was there is kept beside it with its log", async () => {
  const { file, backup } = await storeAndBackup();
  await withLog(file);
  expect(restoreStore(file, backup, now)).toBe(aside(file));
  expect(runsIn(file)).toEqual(["past"]);
  expect(hasLateDocument(file), "the old log is not written into the new store").toBe(false);
  expect(runsIn(aside(file))).toEqual(["present", "past"]);
  expect(hasLateDocument(aside(file))).toBe(true);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(existsSync(backup)).toBe(true);
  expect(readdirSync(join(file, "..")).filter((name) => name.includes(".tmp"))).toEqual([]);
});

test("a damaged store is replaced too, and kept as it is", async () => {
  const { file, backup } = await storeAndBackup();
  await withLog(file);
  writeFileSync(file, "no database any more\n".repeat(500));
  const damaged = [readFileSync(file), readFileSync(`${file}-wal`)];
  restoreStore(file, backup, now);
  expect(runsIn(file)).toEqual(["past"]);
  expect([readFileSync(aside(file)), readFileSync(`${aside(file)}-wal`)]).toEqual(damaged);
});

test("where there is no store the backup becomes it, whatever log was left there", async () => {
  const { backup } = await storeAndBackup();
  const file = join(temporaryFolder("other"), "store.db");
  openStore(file).close();
  await withLog(file);
  const log = readFileSync(`${file}-wal`);
  const empty = join(temporaryFolder("empty"), "store.db");
  writeFileSync(`${empty}-wal`, log);
  expect(restoreStore(empty, backup, now)).toBeUndefined();
  expect(runsIn(empty)).toEqual(["past"]);
  expect(hasLateDocument(empty)).toBe(false);
});

test("control: a file that is copied over a store with a log gets the log written into it", async () => {
  const { file, backup } = await storeAndBackup();
  await withLog(file);
  copyFileSync(backup, file);
  const naively = (): boolean => hasLateDocument(file) || runsIn(file).includes("present");
  expect(outcomeOf(naively), "wrong or damaged").not.toBe(false);
});

function outcomeOf(look: () => boolean): boolean | "damaged" {
  try {
    return look();
  } catch {
    return "damaged";
  }
}

test("the files of a store in use, copied by hand with their log, are a backup too", async () => {
  const { file } = await storeAndBackup();
  await withLog(file);
  const byHand = join(temporaryFolder("hand"), "store.db");
  for (const suffix of ["", "-wal"]) copyFileSync(file + suffix, byHand + suffix);
  const target = join(temporaryFolder("target"), "store.db");
  restoreStore(target, byHand, now);
  expect(hasLateDocument(target)).toBe(true);
});

const refused: readonly (readonly [string, string, (backup: string) => void])[] = [
  ["is no database", "store-damaged", (backup) => writeFileSync(backup, "a letter\n".repeat(1000))],
  ["is empty", "store-damaged", (backup) => writeFileSync(backup, "")],
  [
    "has a page of zeros",
    "store-damaged",
    (backup) => writeFileSync(backup, readFileSync(backup).fill(0, 4096, 8192)),
  ],
  [
    "is of a newer version",
    "version-mismatch",
    (backup) => {
      const database = new DatabaseSync(backup);
      database.exec("PRAGMA user_version = 99");
      database.close();
    },
  ],
];

test.for(refused)("a backup that %s is refused, and the store is as it was", async ([, code, damage]) => {
  const { file, backup } = await storeAndBackup();
  damage(backup);
  expect(() => restoreStore(file, backup, now)).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(backup) }),
  );
  expect(readdirSync(join(file, ".."))).toEqual(["store.db"]);
  expect(runsIn(file)).toEqual(["present", "past"]);
});

test("a backup that is not there is told", async () => {
  const { file, backup } = await storeAndBackup();
  expect(() => restoreStore(file, `${backup}.not`, now)).toThrow(
    expect.objectContaining({ code: "not-found" }),
  );
});

test("killed at any moment of it, there is the store as it was or the restored one", async () => {
  const outcomes = new Set<string>();
  const { file, backup } = await storeAndBackup();
  const code = `const { restoreStore } = await src("store/restore.ts");
    for (let time = 0; ; time += 1) {
      restoreStore(process.argv[1], process.argv[2 + (time % 2)], new Date());
      console.log("restored");
    }`;
  const present = join(temporaryFolder("present"), "copy.db");
  const store = openStore(file);
  await store.backup(present);
  store.close();
  for (let round = 0; round < 15; round += 1) {
    const program = startProgram(code, [file, backup, present]);
    await program.printed("restored");
    await sleep(Math.random() * 60);
    await program.kill();
    const reader = openReader(file);
    const ids = reader?.runs({}).map(({ id }) => id);
    reader?.close();
    const found = ids?.join(" ") ?? "nothing";
    outcomes.add(found);
    expect(["past", "present past"]).toContain(found);
    for (const name of readdirSync(join(file, ".."))) {
      if (name.includes("replaced")) expect(runsIn(join(file, "..", name)).length).toBeGreaterThan(0);
    }
  }
  expect(outcomes.size).toBe(2);
});

test.each([
  ["a trigger", "CREATE TRIGGER always AFTER INSERT ON runs BEGIN DELETE FROM tokens; END", "trigger always"],
  [
    "a view in the place of a table",
    "DROP TABLE services; CREATE VIEW services AS SELECT 1",
    "view services",
  ],
  ["a table of its own", "CREATE TABLE more (a TEXT)", "table more"],
])("a backup with %s is refused: what its author wrote would run in the server", async (_, sql, found) => {
  const { file, backup } = await storeAndBackup();
  const changed = new DatabaseSync(backup);
  changed.exec(sql);
  changed.close();
  expect(() => restoreStore(file, backup, now)).toThrow(
    expect.objectContaining({
      code: "store-damaged",
      message: expect.stringContaining(`${found} is not as`),
    }),
  );
  expect(runsIn(file)).toEqual(["present", "past"]);
});
