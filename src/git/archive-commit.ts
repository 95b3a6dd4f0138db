import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

import { Failure } from "../core/failure.ts";
import type { CommitRef } from "../core/run-state.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { checkSize } from "./check-out.ts";
import type { CommitTrees } from "./commit-tree.ts";
import { archiveArguments } from "./git-arguments.ts";
import { type GitMachine, runGit } from "./git-command.ts";
import { markDamaged } from "./mirror.ts";

/**
 * The commit's files as a tar archive, compressed by gzip. Every time is the commit's, and the modes are those of a
 * checkout, so that the bytes are the same each time. Fails: store-damaged, path-outside, repository-limit, cancelled.
 */
export async function archiveCommit(
  parts: { readonly machine: GitMachine; readonly trees: CommitTrees; readonly maxBytes: number },
  mirror: string,
  commit: CommitRef,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const tree = await parts.trees.tree(commit);
  checkSize("archive", tree, commit, parts.maxBytes);
  try {
    signal?.throwIfAborted();
    leaveNothingOut(mirror);
    const { exitCode, stdoutBytes, stderr } = await runGit(parts.machine, {
      gitDir: mirror,
      args: archiveArguments(commit.hash),
      config: [["tar.umask", "0022"]],
      maxOutput: Number.POSITIVE_INFINITY,
      signal,
    });
    signal?.throwIfAborted();
    if (exitCode !== 0) throw damaged(mirror, commit, stderr);
    const archive = await promisify(gzip)(stdoutBytes);
    signal?.throwIfAborted();
    return archive;
  } catch (error) {
    if (signal?.aborted !== true) throw error;
    throw new Failure("cancelled", "Archiving a commit was cancelled.", { cause: error });
  }
}

/**
 * What a repository says of archives (`export-ignore`, `export-subst`) is for releases of its source, not for what runs
 * from it. This file of the mirror comes before all of the repository's own.
 */
function leaveNothingOut(mirror: string): void {
  const path = join(mirror, "info", "attributes");
  if (!existsSync(path)) writeFileAtomic(path, "* -export-ignore -export-subst\n");
}

function damaged(mirror: string, commit: CommitRef, stderr: string): Failure {
  markDamaged(mirror);
  return new Failure("store-damaged", `Cannot archive commit ${commit.hash}: git ended with an error.`, {
    details: stderr.split("\n").filter((line) => line !== ""),
    hint: "Deploy it again: the copy of the repository is fetched anew.",
  });
}
