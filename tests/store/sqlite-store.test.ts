import { readdirSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { openReader, openStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { aDeployment, aRelease, aRun, aService, aStage } from "./records.ts";

const storeFile = (): string => join(temporaryFolder("store"), "store.db");

test("what is saved comes back as it was, also after the store was closed", () => {
  const file = storeFile();
  const store = openStore(file);
  const run = aRun("1", { reason: "ü \"'\0\n", details: ["a", "b"] });
  store.saveRun(run);
  store.saveRelease(aRelease(1), aDeployment(1));
  store.saveServiceStatus(aService("serve"));
  store.saveDocument("ports", "serve", { port: 5000 });
  store.close();
  const again = openStore(file);
  expect(again.run("1")).toEqual(JSON.parse(JSON.stringify(run)));
  expect(again.run("2")).toBeUndefined();
  expect(again.deployments()).toEqual([aDeployment(1)]);
  expect(again.deployment("ml", "iris")).toEqual(aDeployment(1));
  expect(again.release("ml", "iris", 1)).toEqual(JSON.parse(JSON.stringify(aRelease(1))));
  expect(again.services()).toEqual(JSON.parse(JSON.stringify([aService("serve")])));
  expect(again.document("ports", "serve")).toEqual({ port: 5000 });
  expect([...again.documents("ports")]).toEqual([["serve", { port: 5000 }]]);
  again.removeDocument("ports", "serve");
  again.removeServiceStatus("ml", "serve");
  expect([again.documents("ports").size, again.services().length]).toEqual([0, 0]);
  again.close();
});

test("a run has its stages as they are now, whichever of them changed and whoever wrote them before", () => {
  const file = storeFile();
  const store = openStore(file);
  const [one, two] = [aStage("one"), aStage("two")];
  const names = (): unknown => store.run("1")?.stages.map(({ node, status }) => `${node} ${status}`);
  store.saveRun(aRun("1", { status: "running", stages: [one, two] }));
  store.saveRun(aRun("1", { status: "running", stages: [one, { ...two, status: "running" }] }));
  expect(names()).toEqual(["one waiting", "two running"]);
  store.saveRun(aRun("1", { status: "running", stages: [two] }));
  expect(names()).toEqual(["two waiting"]);
  const next = openStore(file);
  next.saveRun(aRun("1", { stages: [{ ...one, status: "failed" }] }));
  expect(names()).toEqual(["one failed"]);
  expect(next.runs({}).map(({ stages }) => stages.length)).toEqual([1]);
  next.close();
  store.close();
});

test("there is nothing to read before anything was recorded", () => {
  const file = storeFile();
  expect(openReader(file)).toBeUndefined();
  writeFileSync(file, "");
  expect(openReader(file)).toBeUndefined();
});

test("a reader beside the writer sees each row when its call has returned", () => {
  const file = storeFile();
  const store = openStore(file);
  store.saveRun(aRun("0"));
  const reader = openReader(file);
  for (let number = 1; number <= 50; number += 1) {
    store.saveRun(aRun(String(number)));
    expect(reader?.run(String(number))?.id).toBe(String(number));
  }
  reader?.close();
  store.close();
});

test("readers can't write, and leave nothing open", () => {
  const file = storeFile();
  const store = openStore(file);
  store.saveRun(aRun("1"));
  store.close();
  const writer = openReader(file) as unknown as typeof store;
  expect(() => writer.saveRun(aRun("2"))).toThrow(/readonly/);
  writer.close();
  for (let round = 0; round < 20; round += 1) openReader(file)?.close();
  setVersion(file, 99);
  expect(() => openReader(file)).toThrow();
  expect(() => openStore(file)).toThrow();
  expect(openFiles().filter((path) => path.startsWith(file))).toEqual([]);
});

function openFiles(): readonly string[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // The folder's own.
    }
  });
}

function setVersion(file: string, version: number): void {
  const database = new DatabaseSync(file);
  database.exec(`PRAGMA user_version = ${version}`);
  database.close();
}

test("a store that a newer tool wrote is refused by writer and reader, and left as it is", () => {
  const file = storeFile();
  openStore(file).close();
  setVersion(file, 99);
  for (const open of [openStore, openReader]) {
    expect(() => open(file)).toThrow(
      expect.objectContaining({ code: "version-mismatch", message: expect.stringContaining("version 99") }),
    );
  }
  const database = new DatabaseSync(file);
  expect(database.prepare("PRAGMA user_version").get()).toEqual({ user_version: 99 });
  database.close();
});

test("a migration that fails has changed nothing", () => {
  const file = storeFile();
  const database = new DatabaseSync(file);
  database.exec("CREATE TABLE documents (in_the_way TEXT)"); // The last table that the first migration makes.
  database.close();
  expect(() => openStore(file)).toThrow("already exists");
  const after = new DatabaseSync(file);
  expect(after.prepare("SELECT name FROM sqlite_schema").all()).toEqual([{ name: "documents" }]);
  expect(after.prepare("PRAGMA user_version").get()).toEqual({ user_version: 0 });
  after.exec("DROP TABLE documents");
  after.close();
  openStore(file).close();
});

test("the store's files are for its owner only", () => {
  const file = storeFile();
  const store = openStore(file);
  store.saveRun(aRun("1"));
  for (const suffix of ["", "-wal", "-shm"]) expect(statSync(file + suffix).mode & 0o777).toBe(0o600);
  store.close();
});
