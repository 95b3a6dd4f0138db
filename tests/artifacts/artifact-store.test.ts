import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { createArtifactStore } from "../../src/artifacts/artifact-store.ts";
import { runCommand } from "../../src/lib/run-command.ts";
import type { Artifact, Artifacts } from "../../src/ports/artifacts.ts";
import { runProgram } from "../lib/support/programs.ts";
import { smallDisk } from "../lib/support/small-disk.ts";
import { type Files, writeFiles } from "../support/git-project.ts";
import { temporaryFolder } from "../support/temporary.ts";

let top: string;
/** The workspace's root. */
let root: string;
let folder: string;
let store: Artifacts;

beforeEach(() => {
  top = temporaryFolder("artifacts");
  root = join(top, "workspace");
  folder = join(top, "store");
  mkdirSync(root);
  store = createArtifactStore({ folder, spare: 0 });
});

function collect(files: Files, path: string, from = ""): Promise<Artifact> {
  writeFiles(root, files);
  return store.collect(root, join(root, from), path);
}

function storedAt(artifact: Artifact): string {
  const hex = artifact.digest.slice("sha256:".length);
  return join(folder, "sha256", hex.slice(0, 2), hex);
}

const modeOf = (path: string): number => lstatSync(path).mode & 0o777;

describe("collecting", () => {
  test("a file is known by the digest of its bytes, wherever it was written", async () => {
    const artifact = await collect({ "train/model.bin": "weights" }, "model.bin", "train");
    expect(artifact).toEqual({
      digest: `sha256:${createHash("sha256").update("weights").digest("hex")}`,
      kind: "file",
      bytes: 7,
    });
    expect(await collect({ "other/name": "weights" }, "../other/name", "train")).toEqual(artifact);
    expect(readFileSync(storedAt(artifact), "utf8")).toBe("weights");
    expect(readdirSync(join(folder, "making"))).toEqual([]);
  });

  test("a folder is known by its names, contents, links and executable files, and by nothing else", async () => {
    const files = { "m/a": "1", "m/sub/b": "22", "m/run": { script: "#!" }, "m/l": { link: "sub/b" } };
    const artifact = await collect(files, "m");
    expect(artifact).toMatchObject({ kind: "folder", bytes: 5 });
    const same = { "n/sub/b": "22", "n/l": { link: "sub/b" }, "n/run": { script: "#!" }, "n/a": "1" };
    writeFiles(root, same);
    chmodSync(join(root, "n/a"), 0o600);
    chmodSync(join(root, "n/run"), 0o700);
    expect((await store.collect(root, root, "n/")).digest).toBe(artifact.digest);
    const others: readonly Files[] = [
      { "n/a": "2" },
      { "n/a": null },
      { "n/c": "" },
      { "n/run": "#!" },
      { "n/l": { link: "a" } },
      { "n/l": "sub/b" },
    ];
    const digests = new Set([artifact.digest]);
    for (const change of others) {
      writeFiles(root, { n: null, ...same, ...change });
      digests.add((await store.collect(root, root, "n")).digest);
    }
    writeFiles(root, { n: null, ...same });
    mkdirSync(join(root, "n/empty"));
    digests.add((await store.collect(root, root, "n")).digest);
    expect(digests.size).toBe(others.length + 2);
  });

  test("what is stored has no write permission and shares nothing with what the stage wrote", async () => {
    const artifact = await collect({ "m/a": "1", "m/sub/run": { script: "#!" } }, "m");
    const stored = storedAt(artifact);
    expect([".", "a", "sub", "sub/run"].map((path) => modeOf(join(stored, path)).toString(8))).toEqual([
      "500",
      "400",
      "500",
      "500",
    ]);
    writeFileSync(join(root, "m/a"), "changed");
    expect(await store.verify(artifact.digest)).toBe(true);
    expect(lstatSync(join(stored, "a")).nlink).toBe(1);
  });

  test("a file by itself has no executable bit, however it was first collected", async () => {
    const artifact = await collect({ tool: { script: "#!/bin/sh" } }, "tool");
    await store.place(artifact, join(top, "placed"));
    expect(modeOf(storedAt(artifact))).toBe(0o400);
    expect(modeOf(join(top, "placed")) & 0o111).toBe(0);
  });

  test("names that are not UTF-8, with line breaks or very long come back as they were", async () => {
    mkdirSync(join(root, "m"));
    const names = [Buffer.from([0x66, 0xe9]), Buffer.from("a\nb"), Buffer.from("é".repeat(127))];
    for (const name of names) writeFileSync(Buffer.concat([Buffer.from(`${root}/m/`), name]), name);
    await store.place(await store.collect(root, root, "m"), join(top, "placed"));
    const placed = readdirSync(join(top, "placed"), { encoding: "buffer" });
    expect(placed.map((name) => name.toString("hex")).sort()).toEqual(
      names.map((name) => name.toString("hex")).sort(),
    );
  });

  test("an output that was not written is named", async () => {
    await expect(collect({}, "model.joblib")).rejects.toMatchObject({
      code: "output-missing",
      message: expect.stringContaining("model.joblib"),
    });
  });

  test("a hundred collects of the same content at once leave it there once", async () => {
    writeFiles(root, { "m/a": "1", "m/b": "2" });
    const collected = await Promise.all(Array.from({ length: 100 }, () => store.collect(root, root, "m")));
    expect(new Set(collected.map(({ digest }) => digest)).size).toBe(1);
    expect(await store.verify((collected[0] as Artifact).digest)).toBe(true);
    expect(readdirSync(join(folder, "making"))).toEqual([]);
  });

  test.skipIf(process.getuid?.() !== 0)(
    "a user who is not root can collect, place and sweep folders",
    async () => {
      writeFiles(root, { "m/sub/a": "1" });
      chmodSync(tmpdir(), 0o711);
      chmodSync(top, 0o777);
      const output = await runProgram(
        `
      const { createArtifactStore } = await src("artifacts/artifact-store.ts");
      const [folder, root, target] = process.argv.slice(1);
      process.setgid(65534);
      process.setuid(65534);
      const store = createArtifactStore({ folder, spare: 0 });
      const artifact = await store.collect(root, root, "m");
      await store.place(artifact, target);
      await store.place(artifact, target);
      console.log(await store.verify(artifact.digest), await store.sweep(new Set()));`,
        [folder, root, join(top, "placed")],
      );
      expect(output).toBe("true 1\n");
      expect(readFileSync(join(top, "placed/sub/a"), "utf8")).toBe("1");
    },
  );

  test("a disk that is full is told as that, and nothing half-made is left", async (context) => {
    const small = await smallDisk(context, 512);
    const full = createArtifactStore({ folder: small });
    writeFiles(root, { model: randomBytes(1024 * 1024) });
    await expect(full.collect(root, root, "model")).rejects.toMatchObject({ code: "disk-full" });
    expect(readdirSync(join(small, "making"))).toEqual([]);
    const artifact = await store.collect(root, root, "model");
    await expect(store.place(artifact, join(small, "x/model"))).rejects.toMatchObject({ code: "disk-full" });
    expect(readdirSync(join(small, "x"))).toEqual([]);
  });
});

describe("links", () => {
  test("a link that stays in the output folder is kept, relative, and right under any name", async () => {
    writeFiles(root, {
      "m/blobs/1": "weights",
      "m/snapshots/main/model": { link: "../../blobs/1" },
      "m/latest": { link: "../m/snapshots" },
      "m/here": { link: "." },
    });
    symlinkSync(join(root, "m/snapshots/main"), join(root, "m/absolute"));
    await store.place(await store.collect(root, root, "m"), join(top, "placed"));
    const goals = ["snapshots/main/model", "latest", "here", "absolute"];
    expect(goals.map((link) => readlinkSync(join(top, "placed", link)))).toEqual([
      "../../blobs/1",
      "snapshots",
      ".",
      "snapshots/main",
    ]);
    expect(readFileSync(join(top, "placed/absolute/model"), "utf8")).toBe("weights");
  });

  test("an output that is itself a link to a place in the repository is what it leads to", async () => {
    const files = { "runs/7/a": "1", model: { link: "runs/7" }, "train/best": { link: "../model/a" } };
    expect(await collect(files, "model")).toEqual(await collect({}, "runs/7"));
    expect(await collect({}, "best", "train")).toEqual(await collect({}, "runs/7/a"));
  });

  const escapes: readonly (readonly [string, Files, string, string])[] = [
    ["an absolute link out of the repository", { "m/l": { link: "/etc/passwd" } }, "m", "path-outside"],
    ["a relative link out of the repository", { "m/a/l": { link: "../../../secret" } }, "m", "path-outside"],
    ["a link to elsewhere in the repository", { b: "1", "m/l": { link: "../b" } }, "m", "path-outside"],
    ["a link to the folder above", { "m/l": { link: ".." } }, "m", "path-outside"],
    ["a link to a neighbour with the same start", { mm: "1", "m/l": { link: "../mm" } }, "m", "path-outside"],
    ["a chain that ends outside", { "m/l": { link: "k" }, "m/k": { link: "/etc" } }, "m", "path-outside"],
    ["a link that leads nowhere", { "m/l": { link: "gone" } }, "m", "output-missing"],
    ["links in a circle", { "m/l": { link: "k" }, "m/k": { link: "l" } }, "m", "output-missing"],
    ["a path with ..", {}, "../secret", "path-outside"],
    ["an absolute path", {}, "/etc/passwd", "path-outside"],
    ["a path through a link that leaves", { l: { link: "/etc" } }, "l/passwd", "path-outside"],
    ["an output that is a link out of the repository", { l: { link: "../secret" } }, "l", "path-outside"],
    ["an output that is a link to nowhere", { l: { link: "gone" } }, "l", "path-outside"],
  ];
  test.for(escapes)("%s is refused", async ([, files, path, code]) => {
    writeFileSync(join(top, "secret"), "secret");
    await expect(collect(files, path)).rejects.toMatchObject({ code });
    expect(existsSync(join(folder, "sha256"))).toBe(false);
  });

  test("pipes, sockets and devices are refused, and nobody waits for them", async () => {
    mkdirSync(join(root, "m"));
    await runCommand("mkfifo", [join(root, "m/pipe")], { env: { PATH: process.env.PATH ?? "" } });
    await expect(store.collect(root, root, "m/pipe")).rejects.toMatchObject({ code: "output-missing" });
    await expect(store.collect(root, root, "m")).rejects.toMatchObject({ code: "output-missing" });
    const server = createServer().listen(join(root, "s"));
    await new Promise((resolve) => server.once("listening", resolve));
    await expect(store.collect(root, root, "s")).rejects.toMatchObject({ code: "output-missing" });
    server.close();
    await expect(collect({ "d/null": { link: "/dev/null" } }, "d")).rejects.toMatchObject({
      code: "path-outside",
    });
  });
});

describe("placing", () => {
  test("each gets a private copy that it may change", async () => {
    const artifact = await collect({ "m/a": "1", "m/run": { script: "#!" } }, "m");
    await store.place(artifact, join(top, "one/m"));
    await store.place(artifact, join(top, "two/m"));
    writeFileSync(join(top, "one/m/a"), "changed");
    writeFileSync(join(top, "one/m/new"), "");
    expect(readFileSync(join(top, "two/m/a"), "utf8")).toBe("1");
    expect(modeOf(join(top, "two/m/run")) & 0o100).toBe(0o100);
    expect(await store.verify(artifact.digest)).toBe(true);
  });

  test("what is in the way is replaced, be it a file, a folder or a link", async () => {
    const file = await collect({ f: "file" }, "f");
    const tree = await collect({ "m/a": "1" }, "m");
    const inTheWay: readonly Files[] = [{ t: "old" }, { "t/x": "old" }, { t: { link: "/etc" } }];
    for (const files of inTheWay) {
      writeFiles(top, { t: null, ...files });
      await store.place(file, join(top, "t"));
      expect(readFileSync(join(top, "t"), "utf8")).toBe("file");
      writeFiles(top, { t: null, ...files });
      await store.place(tree, join(top, "t"));
      expect(readdirSync(join(top, "t"))).toEqual(["a"]);
    }
  });

  test("an artifact that was changed in the store is never used, and collecting it again mends it", async () => {
    const damages: readonly ((stored: string) => void)[] = [
      (stored) => writeFiles(stored, { a: "2" }),
      (stored) => writeFiles(stored, { a: null }),
      (stored) => writeFiles(stored, { new: "" }),
      (stored) => chmodSync(join(stored, "a"), 0o555),
      (stored) => writeFiles(stored, { l: { link: "sub" } }),
      (stored) => writeFiles(stored, { l: { link: "/etc" } }),
      (stored) => writeFiles(stored, { ".": null }),
    ];
    const files = { "m/a": "1", "m/sub/b": "2", "m/l": { link: "a" } };
    for (const damage of damages) {
      const artifact = await collect(files, "m");
      expect(await store.verify(artifact.digest)).toBe(true);
      chmodSync(storedAt(artifact), 0o755);
      damage(storedAt(artifact));
      expect(await store.verify(artifact.digest)).toBe(false);
      await expect(store.place(artifact, join(top, "placed/m"))).rejects.toMatchObject({
        code: expect.stringMatching(/^(artifact-damaged|not-found)$/),
      });
      expect(readdirSync(join(top, "placed"), { recursive: true })).toEqual([]);
    }
  });

  test("twenty that collect a damaged artifact's content at once mend it together", async () => {
    const artifact = await collect({ "m/a": "1" }, "m");
    writeFiles(storedAt(artifact), { a: "2" });
    await Promise.all(Array.from({ length: 20 }, () => store.collect(root, root, "m")));
    expect(await store.verify(artifact.digest)).toBe(true);
    expect(readdirSync(join(folder, "making"))).toEqual([]);
  });

  test("an artifact that is not in the store, or no digest at all, is told as that", async () => {
    const unknown = { digest: `sha256:${"0".repeat(64)}`, kind: "file", bytes: 0 } as const;
    const target = join(top, "x");
    await expect(store.place(unknown, target)).rejects.toMatchObject({ code: "not-found" });
    await expect(store.place({ ...unknown, digest: "../../x" }, target)).rejects.toMatchObject({
      code: "not-found",
    });
    expect(await store.verify(unknown.digest)).toBe(false);
    expect(await store.verify("../../x")).toBe(false);
  });
});

describe("sweeping", () => {
  test("all but what is kept goes, and the bytes are counted", async () => {
    const kept = await collect({ a: "kept" }, "a");
    const file = await collect({ b: "12345" }, "b");
    const tree = await collect({ "m/sub/a": "123" }, "m");
    expect(await store.sweep(new Set([kept.digest]))).toBe(8);
    expect(await Promise.all([kept, file, tree].map(({ digest }) => store.verify(digest)))).toEqual([
      true,
      false,
      false,
    ]);
    expect(readdirSync(join(folder, "making"))).toEqual([]);
  });

  test("what a run has only just collected is spared, also when it was there before", async () => {
    const careful = createArtifactStore({ folder, spare: 60_000 });
    const artifact = await collect({ "m/a": "1" }, "m");
    expect(await careful.sweep(new Set())).toBe(0);
    const old = await runCommand("touch", ["-d", "2 hours ago", storedAt(artifact)], {
      env: { PATH: process.env.PATH ?? "" },
    });
    expect(old.exitCode).toBe(0);
    await careful.collect(root, root, "m");
    expect(await careful.sweep(new Set())).toBe(0);
    expect(await store.sweep(new Set())).toBe(1);
  });
});
