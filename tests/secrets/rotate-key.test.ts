import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

import { concealed } from "../../src/core/secret-value.ts";
import { runCommand } from "../../src/lib/run-command.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { keyFiles, keysFolder, openHome } from "./support/home.ts";

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

const keyText = (home: string) => readFileSync(join(keysFolder(home), "master.key"), "utf8");

/** That every version can be read with the one key there is; returns that key's id. */
async function checkHome(home: string): Promise<string | undefined> {
  const { secrets, store } = await openHome(home, openStore);
  try {
    for (let index = 0; index < count; index += 1) {
      const reveal = (version: number) =>
        secrets.reveal({ group: "prod", name: `s${index}`, version, key: "KEY" }).reveal();
      expect([reveal(1), reveal(2)]).toEqual(["former", `value ${index}`]);
    }
    expect(keyFiles(home)).toEqual(["master.key"]);
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
  expect(rotateKey()).toEqual({ secrets: 2 * count });
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
  expect(rotateKey()).toEqual({ secrets: 0 });
  expect(keyText(home)).not.toBe(former);
  expect(keyFiles(home)).toEqual(["master.key"]);
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
