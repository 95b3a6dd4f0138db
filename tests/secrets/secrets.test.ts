import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { expect, onTestFinished, test } from "vitest";

import { maskForms } from "../../src/core/mask.ts";
import { concealed, revealed, type SecretData } from "../../src/core/secret-value.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { openHome } from "./support/home.ts";

async function openTestHome(home = temporaryFolder("home")) {
  const opened = await openHome(home, openStore);
  onTestFinished(() => opened.store.close());
  return { home, ...opened };
}

const text = (data: SecretData | undefined) => (data === undefined ? undefined : revealed(data));

test("a secret is read as it was created, also after a restart", async () => {
  const home = temporaryFolder("home");
  const first = await openHome(home, openStore);
  const data = { USERNAME: "alex", PASSWORD: "pä55\nwörd" };
  const summary = first.secrets.create("prod", "db", concealed(data));
  expect(summary).toEqual({
    ...{ group: "prod", name: "db", version: 1, keys: ["PASSWORD", "USERNAME"] },
    ...{ createdAt: "2026-11-25T09:00:00.000Z", updatedAt: "2026-11-25T09:00:00.000Z" },
  });
  first.store.close();
  const { secrets, store } = await openTestHome(home);
  expect(text(secrets.read("prod", "db"))).toEqual(data);
  expect(store.secrets({})).toEqual([summary]);
});

test("one that is there is not created again, in another group it is another", async () => {
  const { secrets } = await openTestHome();
  secrets.create("prod", "db", concealed({ A: "prod" }));
  secrets.create("dev", "db", concealed({ A: "dev" }));
  expect(() => secrets.create("prod", "db", concealed({ A: "new" }))).toThrow(
    expect.objectContaining({
      code: "already-exists",
      message: "Cannot create secret=db in group=prod as it already exists.",
    }),
  );
  expect(text(secrets.read("prod", "db"))).toEqual({ A: "prod" });
  expect(text(secrets.read("dev", "db"))).toEqual({ A: "dev" });
});

test("an update makes the next version, with the keys that were not given as they were", async () => {
  const { secrets, store } = await openTestHome();
  secrets.create("prod", "db", concealed({ USERNAME: "alex", PASSWORD: "old" }));
  const updated = secrets.update("prod", "db", concealed({ PASSWORD: "new", PORT: "5432" }));
  expect(updated).toMatchObject({ version: 2, keys: ["PASSWORD", "PORT", "USERNAME"] });
  expect(text(secrets.read("prod", "db"))).toEqual({ USERNAME: "alex", PASSWORD: "new", PORT: "5432" });
  expect(store.secrets({})).toEqual([updated]);
  expect(() => secrets.update("prod", "gone", concealed({ A: "1" }))).toThrow(
    expect.objectContaining({
      code: "not-found",
      message: "Could not find secret=gone in group=prod",
    }),
  );
});

test("what is live keeps its version through updates, deletion and a new secret of that name", async () => {
  const { secrets } = await openTestHome();
  const used = { group: "prod", name: "db", version: 1, key: "PASSWORD" };
  secrets.create("prod", "db", concealed({ PASSWORD: "first" }));
  secrets.update("prod", "db", concealed({ PASSWORD: "second" }));
  expect(secrets.remove("prod", "db")).toBe(true);
  expect(secrets.remove("prod", "db")).toBe(false);
  expect(secrets.read("prod", "db")).toBeUndefined();
  expect(secrets.create("prod", "db", concealed({ PASSWORD: "third" })).version).toBe(3);
  secrets.sweep([used]);
  expect(secrets.reveal(used).reveal()).toBe("first");
  expect(() => secrets.reveal({ ...used, version: 2 })).toThrow(
    expect.objectContaining({ code: "secret-missing" }),
  );
  expect(secrets.reveal({ ...used, version: 3 }).reveal()).toBe("third");
});

test("a key that is not in the secret is missing, also one that every object has", async () => {
  const { secrets } = await openTestHome();
  secrets.create("prod", "db", concealed({ PASSWORD: "x" }));
  for (const key of ["USERNAME", "constructor", "__proto__"]) {
    expect(() => secrets.reveal({ group: "prod", name: "db", version: 1, key })).toThrow(
      expect.objectContaining({ code: "secret-missing" }),
    );
  }
});

test("no spelling of a value is in the store, its log of writes, its backup, or a dump", async () => {
  const { home, secrets, store } = await openTestHome();
  const values = ["canary-one-4711", "ein Kanarienvogel, größer", "line one of it\nline two of it\n"];
  values.forEach((value, index) => {
    secrets.create("prod", `s${index}`, concealed({ KEY: value }));
    secrets.update("prod", `s${index}`, concealed({ MORE: `${value}!` }));
  });
  await store.backup(join(home, "copy.db"));
  const data = secrets.read("prod", "s0");
  expect(`${inspect(data)} ${JSON.stringify(data)} ${data?.KEY}`).not.toContain("canary");
  const files = readdirSync(home, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["store.db", "copy.db", "master.key"]),
  );
  for (const file of files) {
    const bytes = readFileSync(join(file.parentPath, file.name));
    expect(maskForms(values).filter((form) => bytes.includes(form))).toEqual([]);
  }
});
