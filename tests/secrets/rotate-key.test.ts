import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

import { concealed } from "../../src/core/secret-value.ts";
import { runCommand } from "../../src/lib/run-command.ts";
import { masterKeySources } from "../../src/secrets/key-sources.ts";
import { parseMasterKey } from "../../src/secrets/master-key.ts";
import { missingKeys } from "../../src/secrets/open-secrets.ts";
import { keyIdsOfBackup, restoreStore } from "../../src/store/restore.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { clock, keyFiles, keysFolder, openHome } from "./support/home.ts";

const count = 4;

async function homeWithSecrets(): Promise<string> {
  const home = temporaryFolder("home");
  const { secrets, store } = await openHome(home, openStore);
  for (let index = 0; index < count; index += 1) {
    secrets.create("prod", `s${index}`, concealed({ KEY: "former" }));
    secrets.update("prod", `s${index}`, concealed({ KEY: `value ${index}` }));
  }
  secrets.remove("prod", "s0");
  store.close();
  return home;
}

const sourcesOf = (home: string) => masterKeySources(home, {}, { secrets: {} });
const missingKeysOf = (home: string, backup: string) =>
  missingKeys(sourcesOf(home), keyIdsOfBackup(join(home, "store.db"), backup));

const keyText = (home: string) => readFileSync(join(keysFolder(home), "master.key"), "utf8");

/** That every version can be read with the key in use, beside which there are only former ones; returns that key's id. */
async function checkHome(home: string): Promise<string | undefined> {
  const { secrets, store } = await openHome(home, openStore);
  try {
    for (let index = 0; index < count; index += 1) {
      const reveal = (version: number) =>
        secrets.reveal({ group: "prod", name: `s${index}`, version, key: "KEY" }).reveal();
      expect([reveal(1), reveal(2)]).toEqual(["former", `value ${index}`]);
    }
    const [current, ...former] = keyFiles(home);
    expect(current).toBe("master.key");
    for (const name of former) expect(name).toMatch(/^master\.key\.[0-9a-f]{8}$/);
    const ids = new Set(store.sealedSecrets().map(({ keyId }) => keyId));
    expect(ids.size).toBe(1);
    return [...ids][0];
  } finally {
    store.close();
  }
}

test("a rotation seals every version anew, and what is open goes on with the new key", async () => {
  const home = await homeWithSecrets();
  const former = keyText(home);
  const before = await checkHome(home);
  const { secrets, store, rotateKey } = await openHome(home, openStore);
  onTestFinished(() => store.close());
  const formerKeyFile = join(keysFolder(home), `master.key.${before}`);
  expect(rotateKey()).toEqual({ secrets: 2 * count, formerKeyFile });
  expect(keyText(home)).not.toBe(former);
  expect(secrets.read("prod", "s1")?.KEY?.reveal()).toBe("value 1");
  secrets.update("prod", "s1", concealed({ KEY: "after" }));
  expect(secrets.read("prod", "s1")?.KEY?.reveal()).toBe("after");
  expect(store.sealedSecrets().some(({ keyId }) => keyId === before)).toBe(false);
});

test("a key without secrets is rotated too", async () => {
  const home = temporaryFolder("home");
  const { store, rotateKey } = await openHome(home, openStore);
  onTestFinished(() => store.close());
  const former = keyText(home);
  const { formerKeyFile, secrets } = rotateKey();
  expect(secrets).toBe(0);
  expect(keyText(home)).not.toBe(former);
  expect(readFileSync(formerKeyFile, "utf8")).toBe(former);
});

test("a backup from before a rotation can be read: the former key is kept, and what it sealed is sealed anew", async () => {
  const home = await homeWithSecrets();
  const backup = join(home, "backup.db");
  const opened = await openHome(home, openStore);
  await opened.store.backup(backup);
  const { formerKeyFile } = opened.rotateKey();
  opened.rotateKey();
  opened.store.close();
  expect(statSync(formerKeyFile).mode & 0o777).toBe(0o600);
  restoreStore(join(home, "store.db"), backup, clock.now());
  const before = keyText(home);
  await checkHome(home);
  expect(keyText(home)).toBe(before);
  expect(await missingKeysOf(home, backup)).toEqual([]);
  expect(formerKeyFile).toContain([...keyIdsOfBackup(join(home, "store.db"), backup)].join());

  // The control: without that file nobody can.
  restoreStore(join(home, "store.db"), backup, new Date());
  const former = readFileSync(formerKeyFile, "utf8");
  rmSync(formerKeyFile);
  const { secrets, store } = await openHome(home, openStore);
  onTestFinished(() => store.close());
  expect(() => secrets.read("prod", "s1")).toThrow(expect.objectContaining({ code: "secret-key" }));
  expect(formerKeyFile).toContain((await missingKeysOf(home, backup)).join("not found"));
  expect(await missingKeysOf(home, backup)).toHaveLength(1);
  // It may be brought back without a restart.
  writeFileSync(formerKeyFile, former, { mode: 0o600 });
  expect(secrets.read("prod", "s1")?.KEY?.reveal()).toBe("value 1");
});

test("a backup that names a key by a path leads to no file elsewhere", async () => {
  const home = await homeWithSecrets();
  const needed = new Set(["../../etc/passwd", "next", ""]);
  expect(await missingKeys(sourcesOf(home), needed)).toEqual([...needed]);
});

test("the keys that are at hand are those of the file, of the variable and of the one before it", async () => {
  const home = await homeWithSecrets();
  const ofFile = parseMasterKey(keyText(home), "file").id;
  const [variable, previousVariable] = ["11".repeat(32), "22".repeat(32)];
  const [ofVariable, ofPrevious] = [variable, previousVariable].map((text) => parseMasterKey(text, "x").id);
  const needed = new Set([ofFile, ofVariable ?? "", ofPrevious ?? ""]);
  expect(await missingKeys(sourcesOf(home), needed)).toEqual([ofVariable, ofPrevious]);
  expect(await missingKeys({ ...sourcesOf(home), variable, previousVariable }, needed)).toEqual([ofFile]);
});

test("a damaged secret is told, and nothing has changed", async () => {
  const home = await homeWithSecrets();
  const { secrets, store, rotateKey } = await openHome(home, openStore);
  onTestFinished(() => store.close());
  const [first] = store.sealedSecrets();
  if (first === undefined) throw new Error("there is none");
  store.replaceSealed([
    { ...first, sealed: first.sealed.map((byte, index) => (index === 40 ? byte ^ 1 : byte)) },
  ]);
  expect(rotateKey).toThrow(expect.objectContaining({ code: "store-damaged" }));
  expect(secrets.read("prod", "s3")?.KEY?.reveal()).toBe("value 3");
  secrets.update("prod", "s3", concealed({ KEY: "after" }));
});

test("a store that fails in the middle, or after it, leaves secrets that can be read and written", async () => {
  for (const when of ["before", "after"]) {
    const home = await homeWithSecrets();
    const broken = (file: string) => {
      const store = openStore(file);
      return {
        ...store,
        replaceSealed(secrets: Parameters<typeof store.replaceSealed>[0]) {
          if (when === "after") store.replaceSealed(secrets);
          throw new Error("I/O error");
        },
      };
    };
    const { secrets, store, rotateKey } = await openHome(home, broken);
    expect(rotateKey).toThrow("I/O error");
    expect(secrets.read("prod", "s1")?.KEY?.reveal()).toBe("value 1");
    secrets.create("prod", "new", concealed({ KEY: "x" }));
    store.close();
    await checkHome(home);
  }
});

test("killed after any of its steps, it leaves secrets that exactly one key opens", {
  timeout: 120_000,
}, async () => {
  const home = await homeWithSecrets();
  const steps = join(home, "steps");
  let former = await checkHome(home);
  const seen = { former: 0, next: 0 };
  for (let crashAfter = 1; ; crashAfter += 1) {
    if (crashAfter > 200) throw new Error("it does not come to its end");
    const result = await rotate(home, crashAfter, steps);
    const key = await checkHome(home);
    if (result.exitCode === 0) break;
    expect(result.signal).toBe("SIGKILL");
    seen[key === former ? "former" : "next"] += 1;
    if (key !== former) expect(keyFiles(home)).toContain(`master.key.${former}`);
    former = key;
  }
  // It was killed on both sides of what counts.
  expect(seen.former).toBeGreaterThan(3);
  expect(seen.next).toBeGreaterThan(0);
});

const program = fileURLToPath(new URL("./support/rotate-once.ts", import.meta.url));
const crashing = new URL("../support/crash-steps.ts", import.meta.url).href;

function rotate(home: string, crashAfter: number, steps: string) {
  return runCommand(process.execPath, ["--import", crashing, program, home], {
    env: { CRASH_AFTER: String(crashAfter), CRASH_STEPS: steps },
  });
}
