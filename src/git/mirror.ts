import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

import { writeFileAtomic } from "../lib/files.ts";
import { entriesIfThere, jsonIfThere, textIfThere } from "../lib/read-if-there.ts";
import { isCommitName, keepArguments, refPrefixes, salvageArguments } from "./git-arguments.ts";
import { type GitMachine, runGit } from "./git-command.ts";

/** What we know of a mirror besides what git knows. */
interface MirrorRecord {
  /** Without credentials. */
  readonly url: string;
  /** Name of the branch that the remote's HEAD was last seen at. */
  readonly defaultBranch: string | undefined;
}

/** The smallest thing that git takes for a bare repository, at a path where nothing is. No templates, no hooks. */
export function makeMirror(path: string, url: string): void {
  mkdirSync(join(path, "objects", "pack"), { recursive: true, mode: 0o700 });
  mkdirSync(join(path, "refs"), { mode: 0o700 });
  writeSkeleton(path);
  writeMirrorRecord(path, { url, defaultBranch: undefined });
}

/** True for a mirror that may be fetched into; one whose making was killed never bears a mirror's name. */
export function isUsable(path: string): boolean {
  return existsSync(join(path, "HEAD")) && !existsSync(join(path, damagedMark));
}

/** The next fetch makes the mirror anew. */
export function markDamaged(path: string): void {
  if (existsSync(path)) writeFileSync(join(path, damagedMark), "");
}

/** Undefined when there is no mirror, or one that a power cut has damaged. */
export function readMirrorRecord(path: string): MirrorRecord | undefined {
  return jsonIfThere<MirrorRecord>(join(path, recordName));
}

export function writeMirrorRecord(path: string, record: MirrorRecord): void {
  writeFileAtomic(join(path, recordName), JSON.stringify(record));
}

/** Bytes of all packs, whole ones and those that come in at this moment. */
export function packBytes(path: string): number {
  const folder = join(path, "objects", "pack");
  return entriesIfThere(folder).reduce(
    (sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

export function packCount(path: string): number {
  return entriesIfThere(join(path, "objects", "pack")).filter((name) => name.endsWith(".pack")).length;
}

/** Removes the packs that a killed fetch has begun. The caller holds the mirror's lock: nobody else writes one. */
export function removeBegunPacks(path: string): void {
  const folder = join(path, "objects", "pack");
  for (const name of entriesIfThere(folder)) {
    if (name.startsWith("tmp_")) rmSync(join(folder, name), { force: true });
  }
}

/** Removes git's lock files that a killed fetch has left. The caller holds the mirror's lock. */
export function removeLeftLocks(path: string): void {
  const removeIn = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const inside = join(folder, entry.name);
      if (entry.isDirectory()) removeIn(inside);
      else if (entry.name.endsWith(".lock")) rmSync(inside, { force: true });
    }
  };
  for (const name of entriesIfThere(path)) {
    if (name.endsWith(".lock")) rmSync(join(path, name), { force: true });
  }
  removeIn(join(path, "refs"));
}

/** A path beside the mirror, for one that is being made. */
export function makingPath(path: string): string {
  return `${path}.making-${randomBytes(4).toString("hex")}`;
}

/** Puts a whole mirror into the place of the one that is there, whose kept commits are saved by `finishReplacing`. */
export function replaceMirror(path: string, made: string): void {
  if (existsSync(path)) renameSync(path, `${path}.replaced-${randomBytes(4).toString("hex")}`);
  renameSync(made, path);
}

/**
 * Removes what killed processes left beside the mirror. Of mirrors that were replaced, the kept commits are taken over
 * first, as far as they can still be read. The caller holds the mirror's lock.
 */
export async function finishReplacing(machine: GitMachine, path: string): Promise<void> {
  const beside = dirname(path);
  for (const name of entriesIfThere(beside)) {
    if (!name.startsWith(`${basename(path)}.`)) continue;
    const left = join(beside, name);
    if (name.includes(".replaced-")) await salvageKept(machine, left, path);
    rmSync(left, { recursive: true, force: true });
  }
}

async function salvageKept(machine: GitMachine, from: string, to: string): Promise<void> {
  writeSkeleton(from);
  rmSync(join(from, damagedMark), { force: true });
  for (const [ref, hash] of keptRefs(from)) {
    const kept = await runGit(machine, { gitDir: to, args: keepArguments(ref, hash) });
    if (kept.exitCode === 0) continue;
    // What cannot be read any more is lost; who needs it is told when they ask for it.
    await runGit(machine, {
      gitDir: to,
      args: salvageArguments(from, ref),
      variables: { GIT_ALLOW_PROTOCOL: "file" },
      timeout: 120_000,
    });
  }
}

/** Read from the files, for git may refuse to read a damaged repository. */
function keptRefs(path: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of (textIfThere(join(path, "packed-refs")) ?? "").split("\n")) {
    const [hash = "", ref = ""] = line.split(" ");
    if (ref.startsWith(refPrefixes.keep) && isCommitName(hash)) found.set(ref, hash);
  }
  for (const name of entriesIfThere(join(path, refPrefixes.keep))) {
    const hash = textIfThere(join(path, refPrefixes.keep, name))?.trim() ?? "";
    if (isCommitName(hash)) found.set(refPrefixes.keep + name, hash);
  }
  return found;
}

function writeSkeleton(path: string): void {
  writeFileSync(join(path, "HEAD"), "ref: refs/heads/none\n");
  writeFileSync(join(path, "config"), "[core]\n\trepositoryformatversion = 0\n\tbare = true\n");
}

const recordName = "bodywork.json";
const damagedMark = "bodywork-damaged";
