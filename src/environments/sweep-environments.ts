import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { tryLock } from "../lib/process-lock.ts";
import type { EnvironmentRecord } from "../ports/environments.ts";
import { lastUsed, readRecord } from "./environment-record.ts";
import { readSettled } from "./settle-environment.ts";

/** Every whole environment in the folder. */
export function listEnvironments(folder: string): readonly EnvironmentRecord[] {
  return keysIn(folder).flatMap((key) => describe(folder, key));
}

/**
 * Removes what was last used before `unusedSince` and is not kept, and what killed builds and sweeps left behind. What
 * somebody builds or removes at this moment is left to them. Returns what went.
 */
export async function sweepEnvironments(
  folder: string,
  lockFile: (key: string) => string,
  options: { readonly keep: ReadonlySet<string>; readonly unusedSince: Date },
): Promise<readonly EnvironmentRecord[]> {
  const gone: EnvironmentRecord[] = [];
  for (const key of keysIn(folder)) {
    if (options.keep.has(key)) continue;
    const swept = await withFreeLock(lockFile(key), () => sweepOne(folder, key, options.unusedSince));
    if (swept !== undefined) gone.push(swept);
  }
  for (const { name, key } of leftOver(folder)) {
    await withFreeLock(lockFile(key), () => rm(join(folder, name), { recursive: true, force: true }));
  }
  return gone;
}

/** Where an environment is built until it is whole. The caller holds the key's lock. */
export function makeUnfinished(folder: string, key: string): string {
  return mkdtempSync(join(folder, `${unfinishedPrefix}${key}-`));
}

/** Removes the environment of that key, and what killed builds of it left. The caller holds the key's lock. */
export function clearEnvironment(folder: string, key: string): void {
  const home = join(folder, key);
  // Under another name first: nobody finds a half-removed environment.
  if (existsSync(home)) renameSync(home, join(mkdtempSync(join(folder, `${sweptPrefix}${key}-`)), key));
  for (const left of leftOver(folder)) {
    // The installer of a builder that was killed may still be writing: what it adds meanwhile goes in the next try.
    if (left.key === key) rmSync(join(folder, left.name), { recursive: true, force: true, maxRetries: 5 });
  }
}

const unfinishedPrefix = ".unfinished-";
const sweptPrefix = ".swept-";

function describe(folder: string, key: string): readonly EnvironmentRecord[] {
  const home = join(folder, key);
  const record = readRecord(home);
  if (record === undefined) return [];
  try {
    const { pythonVersion, lock, warnings, createdAt } = record;
    const bytes = readSettled(home)?.bytes ?? bytesBelow(home);
    const lastUsedAt = lastUsed(home).toISOString();
    const python = join(home, "bin/python");
    return [{ key, folder: home, python, pythonVersion, lock, warnings, bytes, createdAt, lastUsedAt }];
  } catch (error) {
    if (existsSync(home)) throw error;
    return []; // Swept this moment.
  }
}

function bytesBelow(home: string): number {
  let bytes = 0;
  for (const entry of readdirSync(home, { recursive: true, withFileTypes: true })) {
    const stat = entry.isFile()
      ? statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })
      : undefined;
    bytes += stat?.size ?? 0;
  }
  return bytes;
}

function leftOver(folder: string): readonly { readonly name: string; readonly key: string }[] {
  const pattern = new RegExp(`^(?:${unfinishedPrefix}|${sweptPrefix})([0-9a-f]{64})-`.replaceAll(".", "\\."));
  return namesIn(folder).flatMap((name) => {
    const key = pattern.exec(name)?.[1];
    return key === undefined ? [] : [{ name, key }];
  });
}

function keysIn(folder: string): readonly string[] {
  return namesIn(folder).filter((name) => /^[0-9a-f]{64}$/.test(name));
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** `find` takes no lock: an environment that it gave out while we looked is put back. */
async function sweepOne(
  folder: string,
  key: string,
  unusedSince: Date,
): Promise<EnvironmentRecord | undefined> {
  const home = join(folder, key);
  const [record] = describe(folder, key);
  if (record === undefined || lastUsed(home) >= unusedSince) return undefined;
  const aside = mkdtempSync(join(folder, `${sweptPrefix}${key}-`));
  const moved = join(aside, key);
  renameSync(home, moved);
  const wasUsed = lastUsed(moved) >= unusedSince;
  if (wasUsed) renameSync(moved, home);
  await rm(aside, { recursive: true, force: true });
  return wasUsed ? undefined : record;
}

async function withFreeLock<Result>(
  path: string,
  action: () => Promise<Result>,
): Promise<Result | undefined> {
  const lock = tryLock(path);
  if (lock === undefined) return undefined;
  try {
    return await action();
  } finally {
    lock.release();
  }
}
