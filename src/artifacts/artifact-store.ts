import { randomBytes } from "node:crypto";
import { chmod, lstat, mkdir, open, readdir, realpath, rename, utimes } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative } from "node:path";
import { Failure } from "../core/failure.ts";
import { resolveInside } from "../lib/files.ts";
import { hasCode } from "../lib/has-code.ts";
import { acquireLock, tryLock } from "../lib/process-lock.ts";
import type { Artifact, Artifacts } from "../ports/artifacts.ts";
import { copyTree } from "./copy-tree.ts";
import { describeTree } from "./digest.ts";
import { removeTree, sealTree, syncFolder } from "./seal-tree.ts";

export interface ArtifactStoreOptions {
  /** Absolute; nobody else writes there. */
  readonly folder: string;
  /**
   * What was collected less than so many milliseconds ago is not swept: a run that still collects has not recorded it
   * yet. Ten minutes by default.
   */
  readonly spare?: number;
}

/**
 * Artifacts below `<folder>/sha256/ab/<64 hex>`: a file, or a folder with all that is in it, without write permission.
 * Each is copied to a temporary name in `<folder>/making`, hashed there, put on the disk and renamed: what bears a digest
 * as its name was whole when it got it, and is verified again before each use. A file that is an artifact by itself has
 * no mode but 0644; inside a folder the right to execute is kept.
 */
export function createArtifactStore({ folder, spare = 600_000 }: ArtifactStoreOptions): Artifacts {
  const making = join(folder, "making");

  return {
    async collect(root, from, path) {
      const source = await outputPath(root, from, path);
      return withTemporary(making, async (temporary) => {
        try {
          await orUnreadable(path, () => copyTree(source, temporary, { root, label: path }));
          const artifact = await describeTree(temporary);
          if (artifact.kind === "file") await chmod(temporary, 0o644);
          await sealTree(temporary);
          await keep(temporary, storedPath(folder, artifact.digest), artifact);
          return artifact;
        } catch (error) {
          throw asDiskFull(error, `collect the output ${path}`);
        }
      });
    },

    async place(artifact, target) {
      const stored = storedPath(folder, artifact.digest);
      if ((await kindOf(stored)) === undefined) throw missing(artifact.digest);
      await mkdir(dirname(target), { recursive: true });
      const temporary = join(dirname(target), `.${randomBytes(8).toString("hex")}.tmp`);
      try {
        await orDamaged(artifact.digest, () => copyTree(stored, temporary, { root: stored, label: "it" }));
        // The copy is what will be used, so the copy is what is verified.
        if (!isSame(await describeTree(temporary), artifact)) throw damaged(artifact.digest);
        // Only a file and a file change places in one step.
        if (artifact.kind === "folder" || (await kindOf(target)) === "folder") await removeTree(target);
        await rename(temporary, target);
      } catch (error) {
        throw asDiskFull(error, `put an artifact at ${target}`);
      } finally {
        await removeTree(temporary);
      }
    },

    async verify(digest) {
      if (!digestPattern.test(digest)) return false;
      const stored = storedPath(folder, digest);
      return (await kindOf(stored)) !== undefined && (await describeTree(stored)).digest === digest;
    },

    async sweep(kept) {
      await removeLeftOver(making);
      const before = Date.now() - spare;
      let bytes = 0;
      for (const digest of await storedDigests(folder)) {
        if (kept.has(digest)) continue;
        bytes += await sweepOne(making, storedPath(folder, digest), before);
      }
      return bytes;
    },
  };
}

async function outputPath(root: string, from: string, path: string): Promise<string> {
  const below = isAbsolute(path) ? path : join(relative(await realpath(root), await realpath(from)), path);
  const resolved = await resolveInside(root, below);
  if (resolved === undefined) {
    throw new Failure(
      "path-outside",
      `Cannot collect the output: ${path} leads outside the repository, or is a link that leads nowhere.`,
      { hint: "Let the stage write its output inside the repository's folder; links may not leave it." },
    );
  }
  if ((await kindOf(resolved)) !== undefined) return resolved;
  throw new Failure("output-missing", `The stage succeeded, but it has not written its output ${path}.`, {
    hint: "Outputs are paths that the stage writes, relative to the folder of its module.",
  });
}

/** The lock tells a copy that is being made from one whose maker was killed. */
async function withTemporary<Result>(
  making: string,
  work: (temporary: string) => Promise<Result>,
): Promise<Result> {
  const temporary = join(making, randomBytes(8).toString("hex"));
  // The name is new, but a sweep may have seen our claim to it, and look whether we live.
  const lock = await acquireLock(lockOf(temporary));
  try {
    return await work(temporary);
  } finally {
    await removeTree(temporary);
    lock.release();
  }
}

function lockOf(temporary: string): string {
  return `${temporary}.lock`;
}

/** Two that collect the same content meet here: one is renamed into place, the other finds it there and verifies it. */
async function keep(temporary: string, stored: string, artifact: Artifact): Promise<void> {
  const group = dirname(stored);
  if ((await mkdir(group, { recursive: true, mode: 0o700 })) !== undefined) await syncFolder(dirname(group));
  await utimes(temporary, new Date(), new Date());
  const condition = await conditionOf(stored, artifact);
  if (condition === "whole") return;
  if (condition === "damaged") await moveDamaged(temporary, stored, artifact);
  await putInPlace(temporary, stored);
  await syncFolder(group);
}

/** Its time is set first: a sweep that looks from now on spares it. */
async function conditionOf(stored: string, artifact: Artifact): Promise<"whole" | "damaged" | "absent"> {
  try {
    await utimes(stored, new Date(), new Date());
    return isSame(await describeTree(stored), artifact) ? "whole" : "damaged";
  } catch (error) {
    if (hasCode(error, "ENOENT")) return "absent";
    if (hasCode(error, "EIO")) return "damaged";
    throw error;
  }
}

/** Another that saw the damage too may have mended it by now: under the lock one looks again. */
async function moveDamaged(temporary: string, stored: string, artifact: Artifact): Promise<void> {
  const lock = await acquireLock(lockOf(join(dirname(temporary), basename(stored))));
  const aside = `${temporary}.damaged`;
  try {
    if ((await conditionOf(stored, artifact)) === "damaged") await moveAside(stored, aside);
  } finally {
    lock.release();
  }
  await removeTree(aside);
}

/** Under another name nobody meets a half-removed one. A folder without write permission can't be moved to another. */
async function moveAside(stored: string, aside: string): Promise<void> {
  try {
    if ((await kindOf(stored)) === "folder") await chmod(stored, 0o755);
    await rename(stored, aside);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
}

async function putInPlace(temporary: string, stored: string): Promise<void> {
  const handle = await open(temporary);
  try {
    await rename(temporary, stored);
    if ((await handle.stat()).isDirectory()) await handle.chmod(0o500);
  } catch (error) {
    // Another has put the same content there this moment.
    if (!hasCode(error, "ENOTEMPTY", "EEXIST")) throw error;
  } finally {
    await handle.close();
  }
}

const digestPattern = /^sha256:[0-9a-f]{64}$/;

function storedPath(folder: string, digest: string): string {
  if (!digestPattern.test(digest)) throw missing(digest);
  const hex = digest.slice("sha256:".length);
  return join(folder, "sha256", hex.slice(0, 2), hex);
}

/** Undefined when nothing is there, or nothing that could be an artifact. */
async function kindOf(path: string): Promise<Artifact["kind"] | undefined> {
  try {
    const stat = await lstat(path);
    if (stat.isDirectory()) return "folder";
    return stat.isFile() ? "file" : undefined;
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

function isSame(found: Artifact, wanted: Artifact): boolean {
  return found.digest === wanted.digest && found.kind === wanted.kind;
}

async function storedDigests(folder: string): Promise<readonly string[]> {
  const groups = await namesIn(join(folder, "sha256"));
  const names = await Promise.all(groups.map((group) => namesIn(join(folder, "sha256", group))));
  return names
    .flat()
    .map((name) => `sha256:${name}`)
    .filter((digest) => digestPattern.test(digest));
}

/** The bytes that went; 0 when it was collected too short a time ago. */
async function sweepOne(making: string, stored: string, before: number): Promise<number> {
  const isSpared = async (path: string): Promise<boolean> => (await lstat(path)).mtimeMs > before;
  if (await isSpared(stored)) return 0;
  return withTemporary(making, async (aside) => {
    await moveAside(stored, aside);
    // Somebody collected the same content while we looked.
    if (await isSpared(aside)) await putInPlace(aside, stored);
    return (await kindOf(aside)) === undefined ? 0 : (await describeTree(aside)).bytes;
  });
}

/** What collects and sweeps that were killed have left behind. */
async function removeLeftOver(making: string): Promise<void> {
  const names = new Set((await namesIn(making)).map((name) => name.split(".", 1)[0] as string));
  for (const name of names) {
    const temporary = join(making, name);
    const lock = tryLock(lockOf(temporary));
    if (lock === undefined) continue;
    await removeTree(temporary);
    await removeTree(`${temporary}.damaged`);
    lock.release();
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  }
}

/** What may go wrong when a stage has left a process behind that goes on changing its output, or odd permissions. */
async function orUnreadable(path: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!hasCode(error, "EACCES", "EPERM", "ENOENT", "ENOTDIR", "ELOOP", "ENXIO", "ENAMETOOLONG")) {
      throw asDiskFull(error, `collect the output ${path}`);
    }
    throw new Failure("output-missing", `Cannot collect the output ${path}: ${(error as Error).message}.`, {
      hint: "Outputs must be readable, and nothing may change them when the stage has ended.",
      cause: error,
    });
  }
}

/** What `copyTree` finds fault with was not so when it was stored. */
async function orDamaged(digest: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    const isFault = error instanceof Failure || hasCode(error, "ENOENT", "EIO");
    throw isFault ? damaged(digest, error) : error;
  }
}

function asDiskFull(error: unknown, what: string): unknown {
  if (!hasCode(error, "ENOSPC", "EDQUOT")) return error;
  return new Failure("disk-full", `Cannot ${what}: the disk is full.`, {
    hint: "Free some space and deploy again.",
    cause: error,
  });
}

function missing(digest: string): Failure {
  return new Failure("not-found", `The artifact ${digest} is not in the store.`, { hint: runAgain });
}

function damaged(digest: string, cause?: unknown): Failure {
  return new Failure(
    "artifact-damaged",
    `The artifact ${digest} is damaged: what is stored is not what was collected.`,
    { hint: `${runAgain} Look at the disk's health.`, cause },
  );
}

const runAgain = "Deploy again, so that the stage which made it makes it anew.";
