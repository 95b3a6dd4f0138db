import { readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

import { Failure } from "../core/failure.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { hasCode } from "../lib/has-code.ts";
import { entriesIfThere } from "../lib/read-if-there.ts";
import { type MasterKey, masterKeyText, newMasterKey, parseMasterKey } from "./master-key.ts";

/** Where the master key is, in a folder of its own below the home folder; both for their owner alone. */
const keyFileOf = (folder: string): string => join(folder, "master.key");

/** Where the next one is from before secrets are sealed with it until it takes the place of the former. */
export const nextKeyFileOf = (folder: string): string => join(folder, "master.key.next");

/** Where a rotation keeps the key that it replaces: backups from before need it. */
export const formerKeyFileOf = (folder: string, id: string): string => join(folder, `master.key.${id}`);

/**
 * The key of the folder that what is sealed was sealed with; made when there is neither. A rotation that has not come to its
 * end is ended, forwards or backwards: which key is the right one, the secrets say. `sealedWith`: ids of keys. Fails:
 * home-unsafe (others may read it), secret-key (it is not there, or another).
 */
export function openKeyFile(folder: string, sealedWith: ReadonlySet<string>): MasterKey {
  removeHalfWritten(folder);
  const next = readKeyFile(nextKeyFileOf(folder));
  if (next !== undefined && sealedWith.has(next.id)) {
    keepFormer(folder);
    renameSync(nextKeyFileOf(folder), keyFileOf(folder));
    return next;
  }
  if (next !== undefined) rmSync(nextKeyFileOf(folder));
  const file = keyFileOf(folder);
  const key = readKeyFile(file);
  if (key === undefined && sealedWith.size === 0) return writeKeyFile(file, newMasterKey());
  if (key === undefined) {
    throw new Failure(
      "secret-key",
      `Cannot open the secrets: the master key ${[...sealedWith].join(", ")}, which sealed them, is not in ${file}.`,
      { hint: "Bring that file back from where you keep its copy. Without it nobody can read the secrets." },
    );
  }
  return key;
}

/** What `writeFileAtomic` was killed over: nothing was ever sealed with such a key. */
function removeHalfWritten(folder: string): void {
  for (const name of entriesIfThere(folder)) {
    if (/^\.[0-9a-f]+\.tmp$/.test(name)) rmSync(join(folder, name));
  }
}

/** Before another takes its place. */
function keepFormer(folder: string): void {
  const former = readKeyFile(keyFileOf(folder));
  if (former !== undefined) writeKeyFile(formerKeyFileOf(folder, former.id), former);
}

/** The key of that id that a rotation has kept; undefined when none has. Fails: home-unsafe, secret-key. */
export function formerKey(folder: string, id: string): MasterKey | undefined {
  // The store gives it, which may be another's backup: it must not lead elsewhere.
  if (!/^[0-9a-f]{8}$/.test(id)) return undefined;
  const key = readKeyFile(formerKeyFileOf(folder, id));
  return key?.id === id ? key : undefined;
}

/** Ids of the keys that are in the folder's own two files; nothing is made or ended. Fails as `formerKey`. */
export function keyIdsInFolder(folder: string): readonly string[] {
  return [keyFileOf(folder), nextKeyFileOf(folder)].flatMap((file) => readKeyFile(file)?.id ?? []);
}

/** Fails: disk-full, secret-key. */
export function writeKeyFile(file: string, key: MasterKey): MasterKey {
  try {
    writeFileAtomic(file, `${masterKeyText(key)}\n`);
  } catch (error) {
    const full = hasCode(error, "ENOSPC", "EDQUOT");
    const why = full ? "the disk is full" : (error as NodeJS.ErrnoException).code;
    throw new Failure(full ? "disk-full" : "secret-key", `Cannot write the master key to ${file}: ${why}.`, {
      cause: error,
    });
  }
  return key;
}

/** Undefined when there is no such file. */
function readKeyFile(file: string): MasterKey | undefined {
  try {
    refuseOthers(dirname(file), "chmod 700");
    refuseOthers(file, "chmod 600");
    return parseMasterKey(readFileSync(file, "utf8"), file);
  } catch (error) {
    if (error instanceof Failure) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw new Failure("secret-key", `Cannot read the master key of the secrets, ${file}: ${code}.`, {
      cause: error,
    });
  }
}

/** As ssh does with private keys: who else can read it may have done so. */
function refuseOthers(path: string, mend: string): void {
  const { mode, uid } = statSync(path);
  const cannot = `Cannot use the master key of the secrets: ${path}`;
  if (process.getuid !== undefined && uid !== process.getuid()) {
    throw new Failure("home-unsafe", `${cannot} belongs to another user.`);
  }
  if ((mode & 0o077) !== 0) {
    throw new Failure(
      "home-unsafe",
      `${cannot} is open to other users (mode ${(mode & 0o777).toString(8)}).`,
      {
        hint: `${mend} '${path}'. If others can have read it: bodywork server rotate-key`,
      },
    );
  }
}
