import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { migrations } from "../../src/store/migrations.ts";
import { openReader, openStore } from "../../src/store/sqlite-store.ts";
import { startProgram } from "../lib/support/programs.ts";
import { smallDisk } from "../lib/support/small-disk.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { aCronjob, aDeployment, aRun, aSecret, aService } from "./records.ts";

/** What the first version of the tool knew. */
const schema1 = migrations.slice(0, 1);

const inVersion1 = {
  runs: ["20261124-090000-b222", "20261124-080000-a111", "20261123-190512-k3f9"],
  unfinished: ["20261124-090000-b222"],
  stages: ["train succeeded", "serve succeeded"],
  events: ["running", 'Königsberg\'s "7" bridges', "succeeded"],
  deployments: [aDeployment(1)],
  releases: [1],
  services: JSON.parse(JSON.stringify([aService("serve")])),
  ports: [["serve", { port: 5000 }]],
};

/** A store as the first version of the tool has written it. */
function storeOfVersion1(folder = temporaryFolder("store")): string {
  const file = join(folder, "store.db");
  const database = new DatabaseSync(file);
  database.exec("PRAGMA journal_mode = WAL");
  database.exec(readFileSync(join(import.meta.dirname, "..", "fixtures", "store-version-1.sql"), "utf8"));
  database.close();
  return file;
}

/** All of it that the first version knew. */
function contentOf(file: string, schema?: readonly string[]): typeof inVersion1 {
  const store = openStore(file, schema);
  const events = store.events("20261123-190512-k3f9", 0);
  try {
    return {
      runs: store.runs({}).map(({ id }) => id),
      unfinished: store.unfinishedRuns().map(({ id }) => id),
      stages: (store.run("20261123-190512-k3f9")?.stages ?? []).map(
        ({ node, status }) => `${node} ${status}`,
      ),
      events: events.map((event) =>
        event.kind === "notice" ? event.text : event.kind === "run" ? event.status : "",
      ),
      deployments: [...store.deployments()],
      releases: store.releases("ml", "iris").map(({ number }) => number),
      services: [...store.services()],
      ports: [...store.documents("ports")] as typeof inVersion1.ports,
    };
  } finally {
    store.close();
  }
}

function versionOf(file: string): number {
  const database = new DatabaseSync(file, { readOnly: true });
  const { user_version } = database.prepare("PRAGMA user_version").get() as { user_version: number };
  database.close();
  return user_version;
}

const copiesIn = (file: string): readonly string[] =>
  readdirSync(dirname(file))
    .filter((name) => name.startsWith(`${basename(file)}.`) || name.endsWith(".tmp"))
    .filter((name) => !/-(wal|shm)$/.test(name))
    .sort();

test("a store of version 1 opens with all that is in it, and takes what version 1 did not know", () => {
  const file = storeOfVersion1();
  expect(contentOf(file)).toEqual(inVersion1);
  const store = openStore(file);
  store.saveCronjob(aCronjob("nightly"));
  store.saveSecret(aSecret("prod", "db", 1));
  store.saveRun(aRun("20261124-080000-a111", { status: "succeeded" }));
  expect(store.cronjobs()).toEqual([aCronjob("nightly")]);
  expect(store.run("20261124-080000-a111")?.status).toBe("succeeded");
  store.close();
  expect(versionOf(file)).toBe(migrations.length);
});

test("the tables that were released are made by the same steps for ever", () => {
  const made = join(temporaryFolder("store"), "made.db");
  openStore(made, schema1).close();
  const schemaOf = (file: string): readonly unknown[] => {
    const database = new DatabaseSync(file);
    const rows = database.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").all();
    database.close();
    return rows.map(({ sql }) => String(sql).replace(/\s+/g, " "));
  };
  expect(schemaOf(made)).toEqual(schemaOf(storeOfVersion1()));
});

test("a store of version 1 that no server has opened yet is read as it is", () => {
  const file = storeOfVersion1();
  const reader = openReader(file);
  expect(reader?.runs({}).map(({ id }) => id)).toEqual(inVersion1.runs);
  expect([reader?.cronjobs(), reader?.jobs({}), reader?.secrets({}), reader?.tokens()]).toEqual([
    [],
    [],
    [],
    [],
  ]);
  reader?.close();
  expect(versionOf(file)).toBe(1);
});

test("before a migration the store is copied, for its owner only: with it the older tool goes on where it was", () => {
  const file = storeOfVersion1();
  openStore(file).close();
  const copy = `${file}.before-v${migrations.length}`;
  expect(copiesIn(file)).toEqual([basename(copy)]);
  expect(statSync(copy).mode & 0o777).toBe(0o600);
  expect(contentOf(copy, schema1)).toEqual(inVersion1);
});

test("a new store, and one that is up to date, are not copied", () => {
  const file = join(temporaryFolder("store"), "store.db");
  openStore(file).close();
  openStore(file).close();
  expect(copiesIn(file)).toEqual([]);
});

test("the copies made before the last three migrations stay", () => {
  const file = storeOfVersion1();
  const steps = Array.from({ length: 11 }, (_, number) =>
    `CREATE TABLE t${number} (x) STRICT`.replace("(x)", "(x INT)"),
  );
  for (let count = 1; count <= steps.length; count += 1) {
    openStore(file, [...migrations, ...steps.slice(0, count)]).close();
  }
  const newest = migrations.length + steps.length;
  expect(copiesIn(file)).toEqual(
    [newest - 2, newest - 1, newest].map((version) => `store.db.before-v${version}`).sort(),
  );
});

test("an older tool refuses the migrated store for writing and for reading, and leaves it as it is", () => {
  const file = storeOfVersion1();
  openStore(file).close();
  const before = readFileSync(file);
  for (const open of [openStore, openReader]) {
    expect(() => open(file, schema1)).toThrow(
      expect.objectContaining({
        code: "version-mismatch",
        message: expect.stringContaining(
          `version ${migrations.length}, and this Bodywork knows versions up to 1`,
        ),
      }),
    );
  }
  expect(readFileSync(file).equals(before)).toBe(true);
  expect(contentOf(file)).toEqual(inVersion1);
});

test("a migration that fails leaves the store as it was, and the next try goes through", () => {
  const file = storeOfVersion1();
  const broken = [...schema1, `${migrations[1]}; INSERT INTO no_such_table VALUES (1)`];
  expect(() => openStore(file, broken)).toThrow("no_such_table");
  expect(versionOf(file)).toBe(1);
  expect(contentOf(file, schema1)).toEqual(inVersion1);
  expect(contentOf(file)).toEqual(inVersion1);
});

test("killed at any moment of a migration, the store is as it was or migrated, and opens with all of it", async () => {
  const slow =
    "CREATE TABLE filler AS WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 150000) SELECT x, hex(zeroblob(40)) FROM n; DROP TABLE filler";
  const code = `
    const { openStore } = await src("store/sqlite-store.ts");
    const { migrations } = await src("store/migrations.ts");
    console.log("ready");
    openStore(process.argv[1], [migrations[0], migrations[1] + "; " + process.argv[2]]);
    console.log("migrated");`;
  const seen = new Set<number>();
  for (let round = 0; round < 6; round += 1) {
    const file = storeOfVersion1();
    const program = startProgram(code, [file, slow]);
    await program.printed("ready");
    await sleep(round * 40);
    await program.kill();
    const told = program.output().includes("migrated");
    const version = versionOf(file);
    seen.add(version);
    expect([1, 2]).toContain(version);
    if (told) expect(version).toBe(2);
    if (version === 2) expect(contentOf(`${file}.before-v2`, schema1)).toEqual(inVersion1);
    expect(contentOf(file)).toEqual(inVersion1);
  }
  expect(seen, "some of the kills came before its end").toContain(1);
});

test("control: steps that are no transaction leave a store between two versions when they are killed", () => {
  const file = storeOfVersion1();
  const database = new DatabaseSync(file);
  const naively = (): void => {
    for (const statement of [...String(migrations[1]).split(";"), "INSERT INTO no_such_table VALUES (1)"]) {
      database.exec(statement);
    }
  };
  expect(naively).toThrow("no_such_table");
  database.close();
  expect(versionOf(file)).toBe(1);
  expect(() => openStore(file)).toThrow("already exists");
});

test("without room for the copy nothing is migrated, and the refusal says so", async (context) => {
  const folder = await smallDisk(context, 1024);
  const file = storeOfVersion1(folder);
  const room =
    1024 * 1024 - readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  writeFileSync(join(folder, "filler"), Buffer.alloc(room - 40 * 1024));
  expect(() => openStore(file)).toThrow(
    expect.objectContaining({ code: "disk-full", message: expect.stringContaining("before-v2") }),
  );
  expect(versionOf(file)).toBe(1);
  expect(copiesIn(file)).toEqual([]);
});
