import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";

import { resolveInside } from "../../src/lib/files.ts";
import { runCommand } from "../../src/lib/run-command.ts";
import { type Files, type GitProject, makeProject } from "../support/git-project.ts";
import { contentsBelow, entriesBelow, failureOf, makeSource, resolve } from "./support/source.ts";

async function project(files: Files): Promise<GitProject> {
  const made = await makeProject({ files });
  onTestFinished(() => made.remove());
  return made;
}

/** A few files, which are written from memory, and many, which git checks out. */
const sizes: readonly (readonly [string, Files])[] = [
  ["a small commit", {}],
  ["a large commit", Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`data/${n}.txt`, `${n}\n`]))],
  ["a commit with attributes that change what is written", { ".gitattributes": "*.win text eol=crlf\n" }],
];

const common: Files = {
  "bodywork.yaml": "version: 1\n",
  "stages/train/train.py": "print('train')\n",
  "stages/grün.py": "print('ü')\n",
  "run.sh": { script: "#!/bin/sh\n" },
  "note.win": "a\nb\n",
  inside: { link: "stages/train" },
  outside: { link: "/etc" },
  up: { link: "../../.." },
  dangling: { link: "nothing" },
  "secret.txt": "x",
  "ignored/.gitattributes": "*.txt export-ignore\n",
  "ignored/data.txt": "kept\n",
};

/** Paths with their kind, mode and content. */
function described(root: string): readonly string[] {
  return entriesBelow(root)
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const name = relative(root, path);
      if (entry.isSymbolicLink()) return `${name} -> ${readlinkSync(path)}`;
      if (entry.isDirectory()) return `${name}/`;
      return `${name} ${(statSync(path).mode & 0o100) === 0 ? "-" : "x"} ${readFileSync(path).toString("hex")}`;
    })
    .sort();
}

describe.each(sizes)("A copy of %s", (_, more) => {
  it("is what git clone would have made, without .git", async () => {
    const { git, url } = await project({ ...common, ...more });
    const { source, fresh } = makeSource();
    const commit = await resolve(source, { url });
    const [copy, clone] = [fresh(), fresh()];
    await source.checkOut(commit, copy);
    await git("clone", "--quiet", url, clone);
    rmSync(join(clone, ".git"), { recursive: true });
    expect(described(copy)).toEqual(described(clone));
    expect(existsSync(join(copy, ".git"))).toBe(false);
    expect(readdirSync(dirname(copy)).filter((name) => name.includes(".tmp"))).toEqual([]);
  });

  it("is its owner's alone: no file is shared, and writing harms nobody", async () => {
    const { url } = await project({ ...common, ...more });
    const { source, folder, fresh } = makeSource();
    const commit = await resolve(source, { url });
    const [mine, yours] = [fresh(), fresh()];
    await Promise.all([source.checkOut(commit, mine), source.checkOut(commit, yours)]);
    const before = described(yours);
    expect(sharedFiles(mine, [yours, folder])).toEqual([]);
    for (const name of contentsBelow(mine).keys()) writeFileSync(join(mine, name), "spoilt");
    expect(described(yours)).toEqual(before);
    const later = fresh();
    await source.checkOut(commit, later);
    expect(described(later)).toEqual(before);

    // The control: with a hard link, the same looks find it.
    const linked = fresh();
    mkdirSync(linked);
    linkSync(join(later, "secret.txt"), join(linked, "secret.txt"));
    expect(sharedFiles(linked, [later])).toEqual(["secret.txt"]);
    writeFileSync(join(linked, "secret.txt"), "spoilt");
    expect(described(later)).not.toEqual(before);
  });

  it("keeps links as links, and none of them leads a reader out of it", async () => {
    const { url } = await project({ ...common, ...more });
    const { source, fresh } = makeSource();
    const copy = fresh();
    await source.checkOut(await resolve(source, { url }), copy);
    for (const path of ["outside/passwd", "up/x", "outside", "../x", "dangling", "inside/../../x"]) {
      expect(await resolveInside(copy, path), path).toBeUndefined();
    }
    expect(await resolveInside(copy, "inside/train.py")).toBe(join(copy, "stages/train/train.py"));
    // The control: without that guard, the link is followed.
    expect(existsSync(join(copy, "outside/passwd"))).toBe(true);
  });

  it("is not there when the call was cancelled, and leaves nothing", async () => {
    const { url } = await project({ ...common, ...more });
    const { source, fresh } = makeSource();
    const commit = await resolve(source, { url });
    const copy = fresh();
    const failure = await failureOf(source.checkOut(commit, copy, AbortSignal.abort()));
    expect(failure.code).toBe("cancelled");
    expect(readdirSync(dirname(copy)).filter((name) => name.includes("checkout"))).toEqual([]);
  });
});

describe("A commit", () => {
  it("with a submodule has an empty folder in its place", async () => {
    const inner = await project({ "inner.txt": "1" });
    const outer = await project({ "outer.txt": "1" });
    await outer.git(
      "-c",
      "protocol.file.allow=always",
      "submodule",
      "add",
      "--quiet",
      inner.url,
      "vendor/inner",
    );
    await outer.commit({});
    const { source, fresh } = makeSource();
    const commit = await resolve(source, { url: outer.url });
    const copy = fresh();
    await source.checkOut(commit, copy);
    expect(readdirSync(join(copy, "vendor/inner"))).toEqual([]);
    expect(await source.listFiles(commit)).toEqual(new Set([".gitmodules", "outer.txt"]));
  });

  it("with a path that is not UTF-8 is checked out all the same", async () => {
    const { git, path, commit, url } = await project({ "a.txt": "1" });
    writeFileSync(Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0x66, 0xff, 0x2e, 0x74])]), "x");
    await commit({});
    expect(await git("status", "--short")).toBe("");
    const { source, fresh } = makeSource();
    const copy = fresh();
    await source.checkOut(await resolve(source, { url }), copy);
    const names = readdirSync(copy, { encoding: "buffer" }).map((name) => name.toString("hex"));
    expect(names).toContain("66ff2e74");
  });

  it("that unpacks to more than the limit is refused, however small its pack is", async () => {
    const { url } = await project({ "zeros.bin": Buffer.alloc(3 * 1024 * 1024) });
    const { source, fresh } = makeSource({ maxRepositoryMb: 2 });
    const commit = await resolve(source, { url });
    const copy = fresh();
    const failure = await failureOf(source.checkOut(commit, copy));
    expect(failure.code).toBe("repository-limit");
    expect(existsSync(copy)).toBe(false);
  });

  it("with paths that lead into .git or out of the tree never becomes files", async () => {
    const { git, url } = await project({ "a.txt": "1" });
    const blob = await git("rev-parse", "HEAD:a.txt");
    for (const name of [".git", "..", ".GIT"]) {
      const made = await runCommand("git", ["mktree"], {
        env: { PATH: process.env.PATH ?? "" },
        cwd: url.replace("file://", ""),
        input: `100644 blob ${blob}\t${name}\n`,
      });
      const hash = await git("commit-tree", "-m", "evil", made.stdout.trim());
      await git("branch", "--force", "evil", hash);
      const { source, fresh } = makeSource();
      const failure = await failureOf(resolve(source, { url, ref: "evil" }));
      expect(["repository-access", "path-outside"], name).toContain(failure.code);
      expect(existsSync(fresh())).toBe(false);
    }
  });
});

/** Files of `root` that are also one of the others', by what the file system says. */
function sharedFiles(root: string, others: readonly string[]): readonly string[] {
  const inode = (path: string): string => {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  };
  const files = (folder: string): readonly string[] => [...contentsBelow(folder).keys()];
  const theirs = new Set(others.flatMap((other) => files(other).map((name) => inode(join(other, name)))));
  return files(root).filter((name) => theirs.has(inode(join(root, name))));
}
