import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, normalize, relative, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { isInside, resolveInside, writeFileAtomic } from "../../src/lib/files.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { startProgram } from "./support/programs.ts";
import { smallDisk } from "./support/small-disk.ts";

describe("a path inside a folder", () => {
  function makeTree(): string {
    const top = temporaryFolder("inside");
    const root = join(top, "r");
    mkdirSync(join(root, "a/b"), { recursive: true });
    mkdirSync(join(top, "r-evil"));
    writeFileSync(join(top, "r-evil/x"), "");
    writeFileSync(join(root, "a/f"), "");
    symlinkSync("a", join(root, "in"));
    symlinkSync("..", join(root, "up"));
    symlinkSync("/etc", join(root, "etc"));
    symlinkSync("gone", join(root, "dangling"));
    symlinkSync("circle", join(root, "circle"));
    symlinkSync("../../../r-evil", join(root, "a/b/evil"));
    symlinkSync("up/r/a", join(root, "out-and-in"));
    return root;
  }

  const cases: readonly (readonly [string, string | undefined])[] = [
    ["a/f", "a/f"],
    ["a//b/../f", "a/f"],
    [".", ""],
    ["in/f", "a/f"],
    ["in/new/file", "a/new/file"],
    ["new/deep/er", "new/deep/er"],
    ["out-and-in/f", "a/f"],
    ["a/f/below-a-file", "a/f/below-a-file"],
    ["in/../f2", "f2"],
    ["", undefined],
    ["..", undefined],
    ["../r/a/f", "a/f"],
    ["../r-evil/x", undefined],
    ["a/../../r-evil/x", undefined],
    ["/etc/passwd", undefined],
    ["etc/passwd", undefined],
    ["etc", undefined],
    ["up", undefined],
    ["up/r/a/f", "a/f"],
    ["up/r-evil/x", undefined],
    ["a/b/evil/x", undefined],
    ["a/b/evil/new", undefined],
    ["dangling", undefined],
    ["dangling/x", undefined],
    ["circle", undefined],
    ["a\\f", undefined],
    ["a\0f", undefined],
    ["x/".repeat(2049), undefined],
  ];
  test.for(cases)("%j gives %j", async ([path, expected]) => {
    const root = makeTree();
    const found = await resolveInside(root, path);
    expect(found).toBe(expected === undefined ? undefined : join(root, expected));
  });

  test("a root that is reached through a link is judged by where it is", async () => {
    const root = makeTree();
    const other = join(dirname(root), "alias");
    symlinkSync(root, other);
    expect(await resolveInside(other, "in/f")).toBe(join(root, "a/f"));
  });

  /** What realpath, which follows everything, says of the nearest parent that exists. */
  function oracle(root: string, path: string): string | undefined {
    const lexical = resolve(root, path);
    let existing = lexical;
    for (;;) {
      try {
        const real = realpathSync.native(existing);
        return isBelow(root, lexical) && isBelow(root, real)
          ? join(real, relative(existing, lexical))
          : undefined;
      } catch (error) {
        if (isLink(existing)) return undefined; // Dangling or circular.
        if (existing === root) throw error;
        existing = dirname(existing);
      }
    }
  }

  const isBelow = (root: string, path: string): boolean => !relative(root, path).startsWith("..");

  function isLink(path: string): boolean {
    try {
      return lstatSync(path).isSymbolicLink();
    } catch {
      return false;
    }
  }

  /** Repeatable: a linear congruential generator (Numerical Recipes). */
  function chooser(seed: number): (count: number) => number {
    let state = seed;
    return (count) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * count);
    };
  }

  const names = ["a", "b", "c", ".."];
  const goals = ["a", "b", "..", "../..", "../r-evil", "/etc", "a/b", "../a", ".", "../r/b", "c"];

  function growTree(root: string, choose: (count: number) => number): void {
    rmSync(root, { recursive: true, force: true });
    mkdirSync(root);
    const folders = [root];
    for (let entry = 0; entry < 7; entry += 1) {
      const path = join(folders[choose(folders.length)] as string, names[choose(3)] as string);
      if (existsSync(path) || isLink(path)) continue;
      const kind = choose(5);
      if (kind === 0) writeFileSync(path, "");
      else if (kind < 3) symlinkSync(goals[choose(goals.length)] as string, path);
      else {
        mkdirSync(path);
        folders.push(path);
      }
    }
  }

  test("in 2,000 random trees full of links it agrees with realpath, where a comparison of texts does not", async () => {
    const top = temporaryFolder("random");
    const root = join(top, "r");
    mkdirSync(join(top, "r-evil/a"), { recursive: true });
    const choose = chooser(20261123);
    const counts = { inside: 0, outside: 0, naiveEscapes: 0 };
    for (let tree = 0; tree < 2000; tree += 1) {
      growTree(root, choose);
      for (let round = 0; round < 4; round += 1) {
        const path = Array.from({ length: 1 + choose(4) }, () => names[choose(4)]).join("/");
        const expected = oracle(root, path);
        expect(await resolveInside(root, path), `tree ${tree}, ${path}`).toBe(expected);
        counts[expected === undefined ? "outside" : "inside"] += 1;
        const naive = normalize(join(root, path));
        if (naive.startsWith(root) && expected === undefined) counts.naiveEscapes += 1;
      }
    }
    expect(Math.min(...Object.values(counts)), JSON.stringify(counts)).toBeGreaterThan(100);
  }, 60_000);

  test("a folder with the same start of its name is not inside", () => {
    expect([isInside("/r", "/r"), isInside("/r", "/r/x"), isInside("/", "/x")]).toEqual([true, true, true]);
    expect([isInside("/r", "/r-evil"), isInside("/r/x", "/r")]).toEqual([false, false]);
  });
});

describe("a file that is written at once", () => {
  test("it is private, its folders too, and nothing else is left beside it", () => {
    const folder = join(temporaryFolder(), "x/y");
    writeFileAtomic(join(folder, "f"), "text");
    writeFileAtomic(join(folder, "f"), Buffer.from("other"), 0o644);
    expect(readFileSync(join(folder, "f"), "utf8")).toBe("other");
    writeFileAtomic(join(folder, "g"), "");
    expect([join(folder, "f"), join(folder, "g"), folder].map((path) => statSync(path).mode & 0o777)).toEqual(
      [0o644, 0o600, 0o700],
    );
    expect(readdirSync(folder)).toEqual(["f", "g"]);
  });

  test("when it can't be written the old one stays, and nothing is left beside it", () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "f/x"), { recursive: true });
    expect(() => writeFileAtomic(join(folder, "f"), "text")).toThrow();
    expect(readdirSync(folder)).toEqual(["f"]);
  });

  test("on a full disk the old content stays", async (context) => {
    const folder = await smallDisk(context, 256);
    writeFileAtomic(join(folder, "f"), "old");
    expect(() => writeFileAtomic(join(folder, "f"), "x".repeat(400_000))).toThrow("ENOSPC");
    expect(readFileSync(join(folder, "f"), "utf8")).toBe("old");
    expect(readdirSync(folder)).toEqual(["f"]);
  });

  /** Writes 60,000 times the same digit, then the next, until it is killed. */
  const writing = `
    import { writeFileSync } from "node:fs";
    const { writeFileAtomic } = await src("lib/files.ts");
    const [path, naive] = process.argv.slice(1);
    const write = naive === "" ? writeFileAtomic : writeFileSync;
    write(path, "0".repeat(60_000));
    console.log("ready");
    for (let round = 1; ; round += 1) write(path, String(round % 10).repeat(60_000));`;

  async function tornReads(kills: number, naive: string): Promise<number> {
    const path = join(temporaryFolder(), "f");
    let torn = 0;
    for (let round = 0; round < kills; round += 1) {
      const program = startProgram(writing, [path, naive]);
      await program.printed("ready");
      const end = performance.now() + Math.random() * 60;
      while (performance.now() < end) {
        torn += isWhole(path) ? 0 : 1;
        await sleep(0);
      }
      await program.kill();
      torn += isWhole(path) ? 0 : 1;
    }
    return torn;
  }

  const isWhole = (path: string): boolean => /^(\d)\1{59999}$/.test(readFileSync(path, "utf8"));

  test("whenever its writer is killed, every reader sees the old content or the new, whole", async () => {
    expect(await tornReads(12, "")).toBe(0);
  });

  test("control: written in place, it is seen torn", async () => {
    let torn = 0;
    for (let tries = 0; tries < 10 && torn === 0; tries += 1) torn = await tornReads(2, "naive");
    expect(torn).toBeGreaterThan(0);
  });
});
