import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import type { AccessToken, AuditEntry } from "../../src/ports/access-store.ts";
import { openReader, openStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../support/temporary.ts";

const storeFile = (): string => join(temporaryFolder("store"), "store.db");

test("a token is found by its hash until it is removed", () => {
  const store = openStore(storeFile());
  store.saveToken(aToken("00000001"), "hash-1");
  store.saveToken(aToken("00000002"), "hash-2");
  expect(store.tokenOfHash("hash-1")).toEqual(aToken("00000001"));
  expect(store.tokenOfHash("hash-3")).toBeUndefined();
  store.touchToken("00000001", "2026-11-26T00:00:00.000Z");
  store.touchToken("00000009", "2026-11-26T00:00:00.000Z");
  expect(store.tokens().map(({ id, lastUsedAt }) => [id, lastUsedAt])).toEqual([
    ["00000001", "2026-11-26T00:00:00.000Z"],
    ["00000002", undefined],
  ]);
  expect([store.removeToken("00000001"), store.removeToken("00000001")]).toEqual([true, false]);
  expect(store.tokenOfHash("hash-1")).toBeUndefined();
  store.close();
});

test("two tokens can't have the same hash", () => {
  const store = openStore(storeFile());
  store.saveToken(aToken("00000001"), "hash");
  expect(() => store.saveToken(aToken("00000002"), "hash")).toThrow(/UNIQUE/);
  expect(store.tokens()).toHaveLength(1);
  store.close();
});

test("the audit log keeps the newest 10,000 entries, and shows the newest first", () => {
  const file = storeFile();
  openStore(file).close();
  addQuickly(file, 9_999);
  const store = openStore(file);
  for (let number = 10_000; number <= 10_003; number += 1) store.addAuditEntry(anEntry(number));
  const reader = openReader(file);
  expect(reader?.auditEntries(2)).toEqual([anEntry(10_003), anEntry(10_002)]);
  const all = store.auditEntries(20_000);
  expect([all.length, all.at(-1)?.on]).toEqual([10_000, "secret 4"]);
  reader?.close();
  store.close();
});

test("of refused tokens the newest 1,000 are kept, and they push out nothing of what was done", () => {
  const store = openStore(storeFile());
  store.addAuditEntry(anEntry(1));
  for (let number = 2; number <= 1_102; number += 1) {
    store.addAuditEntry({ ...anEntry(number), what: "refused token" });
  }
  const all = store.auditEntries(20_000);
  expect([all.length, all[0]?.on, all.at(-2)?.on, all.at(-1)?.on]).toEqual([
    1_001,
    "secret 1102",
    "secret 103",
    "secret 1",
  ]);
  store.close();
});

function addQuickly(file: string, count: number): void {
  const database = new DatabaseSync(file);
  database.exec("BEGIN");
  const insert = database.prepare("INSERT INTO audit (number, refused, document) VALUES (?, 0, ?)");
  for (let number = 1; number <= count; number += 1) insert.run(number, JSON.stringify(anEntry(number)));
  database.exec("COMMIT");
  database.close();
}

function aToken(id: string): AccessToken {
  return {
    id,
    name: "ci",
    scopes: ["read", "deploy"],
    createdAt: "2026-11-25T08:00:00.000Z",
    expiresAt: undefined,
    lastUsedAt: undefined,
  };
}

function anEntry(number: number): AuditEntry {
  return {
    at: "2026-11-25T08:00:00.000Z",
    who: "this machine",
    from: "127.0.0.1",
    what: "create secret",
    on: `secret ${number}`,
    result: "done",
  };
}
