import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";

import { Failure } from "../core/failure.ts";
import type { CommitRef } from "../core/run-state.ts";
import { catFileArguments, listTreeArguments } from "./git-arguments.ts";
import { type GitMachine, runGit } from "./git-command.ts";
import { markDamaged, readMirrorRecord } from "./mirror.ts";

export type EntryKind = "file" | "executable" | "link" | "submodule";

export interface TreeEntry {
  readonly path: string;
  readonly kind: EntryKind;
  /** Name of the object that has the content. */
  readonly object: string;
  /** Bytes of the content; 0 for a submodule. */
  readonly size: number;
}

export interface CommitTree {
  readonly entries: readonly TreeEntry[];
  readonly byPath: ReadonlyMap<string, TreeEntry>;
  readonly bytes: number;
  /** Small enough, and plain enough, to be kept in memory and written without git. */
  readonly isSmall: boolean;
}

/** Reads trees of commits from mirrors, and the contents of small ones at once; both are remembered for a while. */
export interface CommitTrees {
  /** Fails: store-damaged, path-outside. */
  tree(commit: CommitRef): Promise<CommitTree>;
  /** Contents by object name, of these entries. Fails: store-damaged. */
  contents(commit: CommitRef, entries: readonly TreeEntry[]): Promise<ReadonlyMap<string, Buffer>>;
  /** All contents of a small tree. */
  allContents(commit: CommitRef): Promise<ReadonlyMap<string, Buffer>>;
}

export function createCommitTrees(machine: GitMachine, mirrorOf: (commit: CommitRef) => string): CommitTrees {
  const trees = rememberLast<CommitTree>(32);
  const wholes = rememberLast<ReadonlyMap<string, Buffer>>(8);

  const readContents: CommitTrees["contents"] = async (commit, entries) => {
    const mirror = mirrorOf(commit);
    const { exitCode, stdoutBytes, stderr } = await runGit(machine, {
      gitDir: mirror,
      args: catFileArguments,
      input: entries.map(({ object }) => `${object}\n`).join(""),
      maxOutput: entries.reduce((sum, { size }) => sum + size + 100, 1000),
    });
    const contents = exitCode === 0 ? splitBatch(stdoutBytes, entries) : undefined;
    if (contents === undefined) throw damaged(mirror, commit, stderr);
    return contents;
  };

  const readTree = async (commit: CommitRef): Promise<CommitTree> => {
    const mirror = mirrorOf(commit);
    const { exitCode, stdoutBytes, stderr } = await runGit(machine, {
      gitDir: mirror,
      args: listTreeArguments(commit.hash),
      maxOutput: 512 * 1024 * 1024,
    });
    if (exitCode !== 0) throw damaged(mirror, commit, stderr);
    return parseTree(stdoutBytes, commit);
  };

  const tree: CommitTrees["tree"] = (commit) => trees(keyOf(commit), () => readTree(commit));
  return {
    tree,
    contents: readContents,
    allContents: (commit) =>
      wholes(keyOf(commit), async () => {
        const { entries } = await tree(commit);
        const files = entries.filter(({ kind }) => kind !== "submodule");
        const contents = await readContents(commit, files);
        return contents;
      }),
  };
}

/** Limits of a small tree. Up to here, writing from memory costs less than starting git does. */
const smallEntries = 128;
const smallBytes = 4 * 1024 * 1024;

/** `<mode> <type> <object> <size>\t<path>`, each ended by NUL. */
function parseTree(listing: Buffer, commit: CommitRef): CommitTree {
  const entries = listing
    .toString("utf8")
    .split("\0")
    .filter((line) => line !== "")
    .map((line) => parseEntry(line, commit));
  const bytes = entries.reduce((sum, { size }) => sum + size, 0);
  return {
    entries,
    byPath: new Map(entries.map((entry) => [entry.path, entry])),
    bytes,
    isSmall: entries.length <= smallEntries && bytes <= smallBytes && isUtf8(listing),
  };
}

function parseEntry(line: string, commit: CommitRef): TreeEntry {
  const [, mode = "", object = "", size = "", path = ""] =
    /^(\d{6}) \w+ ([0-9a-f]+) +(\d+|-)\t(.+)$/s.exec(line) ?? [];
  if (!isSafePath(path)) {
    throw new Failure("path-outside", `Cannot use commit ${commit.hash}: it has the path "${path}" in it.`, {
      hint: "Remove it from the repository: git would not check it out either.",
    });
  }
  const kind: EntryKind =
    mode === "120000" ? "link" : mode === "160000" ? "submodule" : mode === "100755" ? "executable" : "file";
  return { path, kind, object, size: size === "-" ? 0 : Number(size) };
}

function isSafePath(path: string): boolean {
  return path
    .split("/")
    .every((part) => part !== "" && part !== "." && part !== ".." && !/^\.git$/i.test(part));
}

/** `<object> <type> <size>\n<content>\n` for each. Undefined when one is missing or is not what its name says. */
function splitBatch(output: Buffer, entries: readonly TreeEntry[]): ReadonlyMap<string, Buffer> | undefined {
  const contents = new Map<string, Buffer>();
  let at = 0;
  for (const { object } of entries) {
    const lineEnd = output.indexOf(10, at);
    const [name, type, size] = output.subarray(at, lineEnd).toString("latin1").split(" ");
    if (lineEnd < 0 || name !== object || type !== "blob") return undefined;
    const content = output.subarray(lineEnd + 1, lineEnd + 1 + Number(size));
    const digest = createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
    if (digest !== object) return undefined;
    contents.set(object, content);
    at = lineEnd + 1 + Number(size) + 1;
  }
  return contents;
}

function damaged(mirror: string, commit: CommitRef, stderr: string): Failure {
  const record = readMirrorRecord(mirror);
  markDamaged(mirror);
  return new Failure(
    "store-damaged",
    record === undefined
      ? `Cannot read commit ${commit.hash}: the copy of its repository is gone.`
      : `Cannot read commit ${commit.hash} of ${record.url}: the copy of the repository is damaged or does not have it.`,
    {
      details: stderr.split("\n").filter((line) => line !== ""),
      hint: "Deploy it again: the copy is fetched anew.",
    },
  );
}

function keyOf({ repository, hash }: CommitRef): string {
  return `${repository}/${hash}`;
}

/** Remembers the last results; what failed is tried again. Who asks while it is being made waits for the same. */
function rememberLast<Value>(count: number): (key: string, make: () => Promise<Value>) => Promise<Value> {
  const known = new Map<string, Promise<Value>>();
  return (key, make) => {
    const value = known.get(key) ?? make();
    known.delete(key);
    known.set(key, value);
    value.catch(() => known.delete(key));
    const [oldest] = known.keys();
    if (known.size > count && oldest !== undefined) known.delete(oldest);
    return value;
  };
}
