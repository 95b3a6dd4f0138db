import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createArtifactStore } from "../../src/artifacts/artifact-store.ts";
import { startProgram } from "../lib/support/programs.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** Collects folders of 60 files until it is killed; or, naively, copies them to the place that their digest names. */
const collecting = `
  import { cpSync, mkdirSync, writeFileSync } from "node:fs";
  const { createArtifactStore } = await src("artifacts/artifact-store.ts");
  const { describeTree } = await src("artifacts/digest.ts");
  const [folder, root, naive] = process.argv.slice(1);
  const store = createArtifactStore({ folder });
  mkdirSync(root + "/m", { recursive: true });
  for (let round = 0; ; round += 1) {
    if (round === 1) console.log("ready");
    for (let file = 0; file < 60; file += 1) writeFileSync(root + "/m/" + file, process.pid + "." + round + "." + file);
    if (naive === "") await store.collect(root, root, "m");
    else {
      const hex = (await describeTree(root + "/m")).digest.slice(7);
      cpSync(root + "/m", folder + "/sha256/" + hex.slice(0, 2) + "/" + hex, { recursive: true });
    }
  }`;

/** Kills the program in the middle, `rounds` times; the digests in the store that do not hold, at the end. */
async function brokenAfterKills(folder: string, rounds: number, naive: string): Promise<readonly string[]> {
  for (let round = 0; round < rounds; round += 1) {
    const program = startProgram(collecting, [folder, temporaryFolder("root"), naive]);
    await program.printed("ready");
    await sleep(Math.random() * 100);
    await program.kill();
  }
  const store = createArtifactStore({ folder });
  const names = readdirSync(join(folder, "sha256")).flatMap((group) =>
    readdirSync(join(folder, "sha256", group)),
  );
  expect(names.length).toBeGreaterThan(0);
  const broken: string[] = [];
  for (const name of names) if (!(await store.verify(`sha256:${name}`))) broken.push(name);
  return broken;
}

test("killed in the middle of collecting, a store holds only whole artifacts, and the rest is swept", async () => {
  const folder = temporaryFolder("store");
  expect(await brokenAfterKills(folder, 10, "")).toEqual([]);
  await createArtifactStore({ folder }).sweep(new Set());
  expect(readdirSync(join(folder, "making"))).toEqual([]);
});

test("control: copied straight to its place, a killed copy would be found half-made", async () => {
  const folder = temporaryFolder("store");
  let broken: readonly string[] = [];
  for (let tries = 0; tries < 10 && broken.length === 0; tries += 1) {
    broken = await brokenAfterKills(folder, 3, "naive");
  }
  expect(broken.length).toBeGreaterThan(0);
});

test("a sweep leaves alone what another process is collecting at this moment", async () => {
  const folder = temporaryFolder("store");
  const program = startProgram(collecting, [folder, temporaryFolder("root"), ""]);
  await program.printed("ready");
  const store = createArtifactStore({ folder });
  for (let round = 0; round < 100; round += 1) {
    await store.sweep(new Set());
    await sleep(5);
  }
  expect(program.process.exitCode, program.output()).toBe(null);
});

/** Puts a file and a link to a secret in turn at `m/data`; and a folder and a link to a folder of secrets at `m/sub`. */
const swapping = `
  import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
  const [root, secret] = process.argv.slice(1);
  console.log("ready");
  for (;;) {
    writeFileSync(root + "/file", "open");
    renameSync(root + "/file", root + "/m/data");
    mkdirSync(root + "/folder");
    writeFileSync(root + "/folder/key", "open");
    renameSync(root + "/folder", root + "/m/sub");
    symlinkSync(secret + "/key", root + "/link");
    renameSync(root + "/link", root + "/m/data");
    symlinkSync(secret, root + "/link");
    renameSync(root + "/m/sub", root + "/gone");
    renameSync(root + "/link", root + "/m/sub");
    rmSync(root + "/m/sub");
    rmSync(root + "/gone", { recursive: true });
  }`;

async function startSwapping(): Promise<string> {
  const top = temporaryFolder("swap");
  const root = join(top, "root");
  mkdirSync(join(root, "m"), { recursive: true });
  mkdirSync(join(top, "secret"));
  writeFileSync(join(top, "secret/key"), "secret");
  await startProgram(swapping, [root, join(top, "secret")]).printed("ready");
  return root;
}

test.skipIf(process.platform !== "linux")(
  "a process that swaps files and folders for links while they are collected gets nothing from outside",
  async () => {
    const root = await startSwapping();
    const folder = temporaryFolder("store");
    const store = createArtifactStore({ folder });
    const outcomes = new Set<string>();
    const end = performance.now() + 3000;
    while (performance.now() < end) {
      for (const path of ["m", "m/data", "m/sub"]) {
        const outcome = await store.collect(root, root, path).then(
          () => "collected",
          ({ code }) => code,
        );
        outcomes.add(outcome);
      }
    }
    expect(outcomes).toContain("collected");
    expect(["output-missing", "path-outside"].some((code) => outcomes.has(code))).toBe(true);
    expect([...outcomes].filter((one) => !/^(collected|output-missing|path-outside)$/.test(one))).toEqual([]);
    const texts = readdirSync(join(folder, "sha256"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"));
    expect(new Set(texts)).toEqual(new Set(["open"]));
  },
);

test.skipIf(process.platform !== "linux")(
  "control: looking first and copying by name afterwards would hand out the secret",
  async () => {
    const root = await startSwapping();
    const copy = join(temporaryFolder("copy"), "data");
    const isLeaked = (): boolean => {
      try {
        if (!lstatSync(join(root, "m/data")).isFile()) return false;
        copyFileSync(join(root, "m/data"), copy);
      } catch {
        return false; // It was swapped for something else again.
      }
      return existsSync(copy) && readFileSync(copy, "utf8") === "secret";
    };
    const end = performance.now() + 20_000;
    let leaked = false;
    while (!leaked && performance.now() < end) leaked = isLeaked();
    expect(leaked).toBe(true);
  },
);
