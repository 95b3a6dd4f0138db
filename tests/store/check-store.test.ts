import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { storeDamage } from "../../src/store/check-store.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../support/temporary.ts";

test("a store that is whole has no damage, also while its server has it open", () => {
  const file = join(temporaryFolder("check"), "store.db");
  const store = openStore(file);
  expect(storeDamage(file)).toBeUndefined();
  store.close();
  expect(storeDamage(file)).toBeUndefined();
});

test("a store whose pages are overwritten, and a file that is no store, are told", () => {
  const file = join(temporaryFolder("check"), "store.db");
  openStore(file).close();
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.fill(0xff, 4096, bytes.length - 512));
  expect(storeDamage(file)).toBeTypeOf("string");
  writeFileSync(file, "no database at all, and long enough to be looked at as one ".repeat(20));
  expect(storeDamage(file)).toContain("damaged");
});
