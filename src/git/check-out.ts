import { randomBytes } from "node:crypto";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import { Failure } from "../core/failure.ts";
import type { CommitRef } from "../core/run-state.ts";
import { hasCode } from "../lib/has-code.ts";
import type { CommitTree, CommitTrees, TreeEntry } from "./commit-tree.ts";
import { checkOutArguments } from "./git-arguments.ts";
import { type GitMachine, runGit } from "./git-command.ts";
import { markDamaged } from "./mirror.ts";

/**
 * Makes `folder` a copy of the commit that nobody else has, under another name until it is whole. A small tree is written
 * from memory, which costs less than to start a process; anything else is checked out by git, which is faster than to
 * copy a checkout that we would have to make first. Either way every file is a new one.
 */
export async function checkOutCommit(
  parts: { readonly machine: GitMachine; readonly trees: CommitTrees; readonly maxBytes: number },
  mirror: string,
  commit: CommitRef,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const tree = await parts.trees.tree(commit);
  checkSize("check out", tree, commit, parts.maxBytes);
  const contents = tree.isSmall ? await parts.trees.allContents(commit) : undefined;
  const making = join(dirname(folder), `.${basename(folder)}.${randomBytes(4).toString("hex")}.tmp`);
  try {
    if (contents !== undefined && !hasConversions(tree, contents)) writeTree(tree, contents, making);
    else await checkOutByGit(parts.machine, mirror, commit, making, signal);
    signal?.throwIfAborted();
    renameSync(making, folder);
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    if (signal?.aborted === true)
      throw new Failure("cancelled", "Checking out was cancelled.", { cause: error });
    throw isDiskFull(error) ? diskFull(commit, error) : error;
  } finally {
    rmSync(`${making}.index`, { force: true });
    rmSync(`${making}.index.lock`, { force: true });
  }
}

/** Fails: repository-limit. */
export function checkSize(doing: string, tree: CommitTree, commit: CommitRef, maxBytes: number): void {
  if (tree.bytes <= maxBytes) return;
  throw new Failure(
    "repository-limit",
    `Cannot ${doing} commit ${commit.hash}: it unpacks to ${Math.ceil(tree.bytes / 1024 / 1024)} MiB.`,
    { hint: "Keep data and models out of the repository, or raise git.max_repository_mb in settings.yaml." },
  );
}

/** Links last, and files only where nothing is: nothing is ever written through a link. */
function writeTree(tree: CommitTree, contents: ReadonlyMap<string, Buffer>, root: string): void {
  mkdirSync(root);
  const made = new Set([""]);
  const makeFolder = (path: string): void => {
    if (made.has(path)) return;
    makeFolder(parentOf(path));
    mkdirSync(join(root, path));
    made.add(path);
  };
  for (const entry of tree.entries) {
    makeFolder(entry.kind === "submodule" ? entry.path : parentOf(entry.path));
  }
  for (const { path, kind, object } of tree.entries) {
    if (kind !== "file" && kind !== "executable") continue;
    const mode = kind === "executable" ? 0o777 : 0o666;
    writeFileSync(join(root, path), contentOf(contents, object), { flag: "wx", mode });
  }
  for (const { path, kind, object } of tree.entries) {
    if (kind === "link") symlinkSync(contentOf(contents, object), join(root, path));
  }
}

function contentOf(contents: ReadonlyMap<string, Buffer>, object: string): Buffer {
  const content = contents.get(object);
  if (content === undefined) throw new Error(`The content ${object} was not read.`);
  return content;
}

/** Attributes by which git writes something else than what is stored: line ends of Windows, `$Id$`, other encodings. */
function hasConversions(tree: CommitTree, contents: ReadonlyMap<string, Buffer>): boolean {
  return tree.entries.some(
    ({ path, object }: TreeEntry) =>
      (path === ".gitattributes" || path.endsWith("/.gitattributes")) &&
      /eol=crlf|\bident\b|working-tree-encoding/.test(contents.get(object)?.toString("latin1") ?? ""),
  );
}

async function checkOutByGit(
  machine: GitMachine,
  mirror: string,
  commit: CommitRef,
  root: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  mkdirSync(root);
  const { exitCode, stderr } = await runGit(machine, {
    gitDir: mirror,
    args: [`--work-tree=${root}`, ...checkOutArguments(commit.hash)],
    variables: { GIT_INDEX_FILE: `${root}.index` },
    signal,
  });
  if (exitCode === 0) return;
  signal?.throwIfAborted();
  if (/No space left on device|Disk quota exceeded/.test(stderr)) throw diskFull(commit);
  markDamaged(mirror);
  throw new Failure("store-damaged", `Cannot check out commit ${commit.hash}: git ended with an error.`, {
    details: stderr.split("\n").filter((line) => line !== ""),
    hint: "Deploy it again: the copy of the repository is fetched anew.",
  });
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

function isDiskFull(error: unknown): boolean {
  return hasCode(error, "ENOSPC", "EDQUOT");
}

function diskFull(commit: CommitRef, cause?: unknown): Failure {
  return new Failure("disk-full", `Cannot check out commit ${commit.hash}: the disk is full.`, {
    hint: "Make room, and deploy again.",
    cause,
  });
}
