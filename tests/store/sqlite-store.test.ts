import { readdirSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { openReader, openStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { aDeployment, aRelease, aRun, aService, aStage } from "./records.ts";

const at = new Date("2026-11-23T19:05:12Z");
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

test("runs are found by deployment and namespace, the newest first, and those unfinished by themselves", () => {
  const store = openStore(storeFile());
  store.saveRun(aRun("1", { deployment: "a", namespace: "x" }));
  store.saveRun(aRun("2", { deployment: "b", namespace: "x", status: "running" }));
  store.saveRun(aRun("3", { deployment: "a", namespace: "y" }));
  store.saveRun(aRun("4", { deployment: undefined, namespace: undefined, status: "queued" }));
  const ids = (filter: Parameters<typeof store.runs>[0]) => store.runs(filter).map(({ id }) => id);
  expect(ids({})).toEqual(["4", "3", "2", "1"]);
  expect(ids({ limit: 2 })).toEqual(["4", "3"]);
  expect(ids({ deployment: "a" })).toEqual(["3", "1"]);
  expect(ids({ namespace: "x" })).toEqual(["2", "1"]);
  expect(ids({ deployment: "a", namespace: "x", limit: 5 })).toEqual(["1"]);
  expect(store.unfinishedRuns().map(({ id }) => id)).toEqual(["2", "4"]);
  store.saveRun(aRun("2", { deployment: "b", namespace: "x", status: "failed" }));
  expect(store.unfinishedRuns().map(({ id }) => id)).toEqual(["4"]);
  store.close();
});

test("events are numbered from one in each run, and are read from where one stopped", () => {
  const store = openStore(storeFile());
  const note = (run: string, text: string) =>
    store.addEvent(run, { kind: "notice", level: "info", text }, at);
  expect(note("1", "a")).toEqual({ kind: "notice", level: "info", text: "a", seq: 1, at: at.toISOString() });
  note("2", "other");
  note("1", "b");
  note("1", "c");
  const texts = store.events("1", 1).map((event) => (event.kind === "notice" ? event.text : ""));
  expect(texts).toEqual(["b", "c"]);
  store.close();
});

test("old runs of each deployment go beyond the number that is kept, never unfinished ones", () => {
  const store = openStore(storeFile());
  for (let number = 1; number <= 6; number += 1) {
    store.saveRun(aRun(`a${number}`, { deployment: "a", status: number === 2 ? "running" : "failed" }));
    store.saveRun(aRun(`b${number}`, { deployment: "a", namespace: "other" }));
    store.addEvent(`a${number}`, { kind: "notice", level: "info", text: "x" }, at);
  }
  store.saveRun(aRun("c1", { deployment: "c" }));
  expect([...store.removeOldRuns(3)].sort()).toEqual(["a1", "a3", "b1", "b2", "b3"]);
  const left = store.runs({}).map(({ id }) => id);
  expect(left.sort()).toEqual(["a2", "a4", "a5", "a6", "b4", "b5", "b6", "c1"]);
  expect([store.events("a1", 0).length, store.events("a4", 0).length]).toEqual([0, 1]);
  store.close();
});

test("of runs that are named, those go that are finished and made no live release", () => {
  const store = openStore(storeFile());
  store.saveRelease(aRelease(1, { runId: "old" }), aDeployment(1));
  store.saveRelease(aRelease(2, { runId: "live" }), aDeployment(2));
  for (const id of ["old", "live", "failed", "kept"]) {
    store.saveRun(aRun(id, { stages: [aStage("one")] }));
    store.addEvent(id, { kind: "notice", level: "info", text: "x" }, at);
  }
  store.saveRun(aRun("running", { status: "running" }));
  expect(store.removeRuns(["failed", "running", "live", "old", "unknown"])).toEqual(["failed", "old"]);
  expect(store.runs({}).map(({ id }) => id)).toEqual(["running", "live", "kept"]);
  expect([store.events("failed", 0).length, store.events("kept", 0).length]).toEqual([0, 1]);
  store.saveRun(aRun("failed"));
  expect(store.run("failed")?.stages).toEqual([]);
  store.close();
});

test("one release goes, and no other", () => {
  const store = openStore(storeFile());
  for (const number of [1, 2]) store.saveRelease(aRelease(number), aDeployment(2));
  store.saveRelease(aRelease(1, { namespace: "x" }), aDeployment(1, { namespace: "x" }));
  store.removeRelease(aRelease(1));
  expect(store.releases("ml", "iris").map(({ number }) => number)).toEqual([2]);
  expect(store.releases("x", "iris").map(({ number }) => number)).toEqual([1]);
  expect(store.deployment("ml", "iris")).toEqual(aDeployment(2));
  store.close();
});

test("a deployment goes with its releases and its finished runs, and no other's", () => {
  const store = openStore(storeFile());
  store.saveRelease(aRelease(1), aDeployment(1));
  store.saveRelease(aRelease(2), aDeployment(2));
  store.saveRelease(aRelease(1, { namespace: "x" }), aDeployment(1, { namespace: "x" }));
  expect(store.releases("ml", "iris").map(({ number }) => number)).toEqual([2, 1]);
  store.saveRun(aRun("1"));
  store.saveRun(aRun("2", { status: "running" }));
  store.saveRun(aRun("3", { namespace: "x" }));
  expect(store.removeDeployment("ml", "iris")).toEqual(["1"]);
  expect(store.deployments().map(({ namespace }) => namespace)).toEqual(["x"]);
  expect([store.releases("ml", "iris").length, store.releases("x", "iris").length]).toEqual([0, 1]);
  expect(store.runs({}).map(({ id }) => id)).toEqual(["3", "2"]);
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
