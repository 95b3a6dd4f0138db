import {
  closeSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { openReader, openStore } from "../../src/store/sqlite-store.ts";
import { startProgram } from "../lib/support/programs.ts";
import { smallDisk } from "../lib/support/small-disk.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { aDeployment, aRelease, aRun } from "./records.ts";

const storeFile = (): string => join(temporaryFolder("store"), "store.db");

test("killed while it makes the store, a writer leaves one that opens", async () => {
  const code = `const { openStore } = await src("store/sqlite-store.ts");
    console.log("ready");
    for (let number = 0; ; number += 1) openStore(process.argv[1] + number).close();`;
  for (let round = 0; round < 5; round += 1) {
    const file = storeFile();
    const program = startProgram(code, [file]);
    await program.printed("ready");
    await sleep(Math.random() * 60);
    await program.kill();
    for (let number = 0; statSync(file + number, { throwIfNoEntry: false }); number += 1) {
      openStore(file + number).close();
    }
  }
});

const damages: readonly (readonly [string, (file: string) => void])[] = [
  ["is no database", (file) => writeFileSync(file, "this is a letter to my aunt\n".repeat(100))],
  ["lost its end", (file) => truncateSync(file, Math.floor(statSync(file).size / 2 / 4096) * 4096)],
  ["has a page of zeros", (file) => overwrite(file, 4096, 8192)],
  [
    "has a row that is no document",
    (file) => execute(file, "UPDATE runs SET document = substr(document, 9)"),
  ],
];

function overwrite(file: string, from: number, bytes: number): void {
  const handle = openSync(file, "r+");
  writeSync(handle, Buffer.alloc(bytes), 0, bytes, from);
  closeSync(handle);
}

function execute(file: string, sql: string): void {
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
}

test.for(damages)("a store that %s is refused in plain words, and left as it is", ([, damage]) => {
  const file = storeFile();
  const store = openStore(file);
  for (let number = 0; number < 100; number += 1) store.saveRun(aRun(String(number)));
  store.close();
  damage(file);
  const { size } = statSync(file);
  const useIt = (): unknown => {
    const opened = openStore(file);
    try {
      return opened.runs({});
    } finally {
      opened.close();
    }
  };
  const refusal = expect.objectContaining({
    code: "store-damaged",
    message: expect.stringContaining(file),
    hint: expect.stringContaining("move the file away"),
  });
  expect(useIt).toThrow(refusal);
  expect(() => openReader(file)?.runs({})).toThrow(refusal);
  expect(statSync(file).size).toBe(size);
});

test("a store that can't be opened at all says so", () => {
  const file = storeFile();
  mkdirSync(file);
  for (const open of [openStore, openReader]) {
    expect(() => open(file)).toThrow(
      expect.objectContaining({ code: "store-damaged", message: expect.stringContaining(file) }),
    );
  }
});

test("on a full disk writing is refused in plain words, and what was written before is still there", async (context) => {
  const folder = await smallDisk(context, 1024);
  const file = join(folder, "store.db");
  const store = openStore(file);
  store.saveRun(aRun("1"));
  const details = ["x".repeat(20_000)];
  const fill = (): void => {
    for (let number = 2; number < 200; number += 1) store.saveRun(aRun(String(number), { details }));
  };
  writeFileSync(join(folder, "filler"), Buffer.alloc(300_000));
  expect(fill).toThrow(
    expect.objectContaining({ code: "disk-full", message: expect.stringContaining(file) }),
  );
  const release = aRelease(1, { outputs: { big: [] }, runId: "x".repeat(100_000) });
  expect(() => store.saveRelease(release, aDeployment(1))).toThrow(
    expect.objectContaining({ code: "disk-full" }),
  );
  expect(store.run("1")?.id).toBe("1");
  expect(store.deployments()).toEqual([]);
  rmSync(join(folder, "filler"));
  store.saveRelease(release, aDeployment(1));
  expect(store.deployment("ml", "iris")?.liveRelease).toBe(1);
  store.close();
});

/** 100,000 runs in 50 deployments with 2 events each, the quick way. */
function writeHistory(file: string): void {
  openStore(file).close();
  const database = new DatabaseSync(file);
  database.exec("PRAGMA synchronous = OFF; BEGIN");
  const run = database.prepare("INSERT INTO runs VALUES (?, ?, ?, 1, ?)");
  const event = database.prepare("INSERT INTO events VALUES (?, ?, ?)");
  for (let number = 0; number < 100_000; number += 1) {
    const id = String(number).padStart(6, "0");
    run.run(id, "ml", `d${number % 50}`, JSON.stringify({ ...aRun(id), details: ["x".repeat(400)] }));
    for (const seq of [1, 2]) event.run(id, seq, JSON.stringify({ seq }));
  }
  database.exec("COMMIT");
  database.close();
}

test("a history of 100,000 runs opens quickly, for writing and for reading", () => {
  const file = storeFile();
  writeHistory(file);
  expect(statSync(file).size).toBeGreaterThan(64 * 1024 * 1024);
  const timed = (work: () => unknown): number => {
    const start = performance.now();
    work();
    return performance.now() - start;
  };
  const store = openStore(file);
  const times = {
    open: timed(() => openStore(file).close()),
    read: timed(() => openReader(file)?.close()),
    newest: timed(() => store.runs({ limit: 20 })),
    ofOne: timed(() => store.runs({ deployment: "d7", namespace: "ml", limit: 20 })),
    ofNone: timed(() => store.runs({ deployment: "unknown", limit: 20 })),
    unfinished: timed(() => store.unfinishedRuns()),
    save: timed(() => store.saveRun(aRun("999999"))),
  };
  expect(Math.max(...Object.values(times)), JSON.stringify(times)).toBeLessThan(500);
  store.close();
});
