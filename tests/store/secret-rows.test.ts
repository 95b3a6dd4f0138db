import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openReader, openStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { aSecret } from "./records.ts";

const storeFile = (): string => join(temporaryFolder("store"), "store.db");

test("a sealed secret comes back byte for byte, by its newest version or by number", () => {
  const file = storeFile();
  const store = openStore(file);
  const [one, two] = [aSecret("prod", "db", 1), aSecret("prod", "db", 2, { keyId: "k2" })];
  store.saveSecret(one);
  store.saveSecret(two);
  store.close();
  const again = openStore(file);
  expect(again.sealedSecret("prod", "db")).toEqual(two);
  expect(again.sealedSecret("prod", "db", 1)).toEqual({ ...one, current: false });
  expect(again.sealedSecret("prod", "db", 3)).toBeUndefined();
  expect(again.sealedSecret("prod", "other")).toBeUndefined();
  expect(() => again.saveSecret(aSecret("prod", "db", 2))).toThrow(/UNIQUE/);
  expect(again.sealedSecret("prod", "db")).toEqual(two);
  again.close();
});

test("newest versions are listed by group and name; nothing of what is sealed is in the list", () => {
  const file = storeFile();
  const store = openStore(file);
  for (const [group, name] of [
    ["prod", "db"],
    ["prod", "api"],
    ["dev", "db"],
  ] as const) {
    store.saveSecret(aSecret(group, name, 1));
  }
  store.saveSecret(aSecret("prod", "db", 2, { keys: ["A", "B"] }));
  const names = (filter: Parameters<typeof store.secrets>[0]) =>
    store.secrets(filter).map(({ group, name, version }) => `${group}/${name} ${version}`);
  expect(names({})).toEqual(["dev/db 1", "prod/api 1", "prod/db 2"]);
  expect(names({ group: "prod" })).toEqual(["prod/api 1", "prod/db 2"]);
  expect(names({ name: "db" })).toEqual(["dev/db 1", "prod/db 2"]);
  expect(names({ group: "prod", name: "db" })).toEqual(["prod/db 2"]);
  const { current, keyId, sealed, ...summary } = aSecret("prod", "db", 2, { keys: ["A", "B"] });
  const reader = openReader(file);
  expect(reader?.secrets({ group: "prod", name: "db" })).toEqual([summary]);
  reader?.close();
  store.close();
});

test("a retired secret is in no list, and its versions stay until they are removed", () => {
  const store = openStore(storeFile());
  store.saveSecret(aSecret("prod", "db", 1));
  store.saveSecret(aSecret("prod", "db", 2));
  expect(store.retireSecret("prod", "db")).toBe(true);
  expect(store.retireSecret("prod", "db")).toBe(false);
  expect(store.secrets({})).toEqual([]);
  expect(store.sealedSecret("prod", "db")).toBeUndefined();
  expect(store.sealedSecrets().map(({ version, current }) => [version, current])).toEqual([
    [1, false],
    [2, false],
  ]);
  store.removeSecretVersions([
    { group: "prod", name: "db", version: 1 },
    { group: "prod", name: "db", version: 7 },
  ]);
  expect(store.sealedSecrets().map(({ version }) => version)).toEqual([2]);
  store.close();
});

test("all versions are sealed anew together, and nothing that the old key opens is left in the files", () => {
  const file = storeFile();
  const store = openStore(file);
  const old = Buffer.from("sealed-by-the-old-key-".repeat(20));
  const secrets = ["a", "b", "c"].map((name) => aSecret("prod", name, 1, { sealed: old }));
  for (const secret of secrets) store.saveSecret(secret);
  const anew = secrets.map((secret) => ({ ...secret, keyId: "k2", sealed: new Uint8Array([1, 2, 3]) }));
  store.replaceSealed(anew);
  expect(store.sealedSecrets()).toEqual(anew);
  expect(filesContain(file, "sealed-by-the-old-key")).toBe(false);
  store.saveSecret(aSecret("prod", "d", 1, { sealed: old }));
  expect(filesContain(file, "sealed-by-the-old-key"), "the look into the files sees what is there").toBe(
    true,
  );
  store.close();
});

test("when one version can't be sealed anew, none is", () => {
  const store = openStore(storeFile());
  const secret = aSecret("prod", "db", 1);
  store.saveSecret(secret);
  const anew = { ...secret, keyId: "k2", sealed: new Uint8Array([9]) };
  expect(() => store.replaceSealed([anew, { ...anew, version: 2 }])).toThrow("no version 2");
  expect(store.sealedSecrets()).toEqual([secret]);
  store.close();
});

function filesContain(file: string, text: string): boolean {
  return ["", "-wal"].some((suffix) => readFileSync(file + suffix).includes(text));
}

test("of a version that was removed nothing is left in the files", () => {
  const file = storeFile();
  const store = openStore(file);
  const secrets = Array.from({ length: 6 }, (_, index) =>
    aSecret("prod", "db", index + 1, { sealed: randomBytes(100) }),
  );
  for (const secret of secrets) store.saveSecret(secret);
  const inFiles = (sealed: Uint8Array): boolean =>
    [file, `${file}-wal`].some((part) => readFileSync(part).includes(Buffer.from(sealed)));
  expect(secrets.map(({ sealed }) => inFiles(sealed))).toEqual(Array(6).fill(true));
  store.removeSecretVersions(secrets.slice(0, 5));
  expect(secrets.map(({ sealed }) => inFiles(sealed))).toEqual([...Array(5).fill(false), true]);
  store.close();
});
