import { constants, existsSync } from "node:fs";
import {
  chmod,
  copyFile,
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  realpath,
  symlink,
} from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { Failure } from "../core/failure.ts";
import { isInside } from "../lib/files.ts";
import { type BytePath, bytesOfPath, shownPath, toBytePath } from "./byte-paths.ts";
import { inParallel } from "./in-parallel.ts";

/**
 * Copies a file, or a folder with all that is in it, to `target`, which must not exist. No byte and no inode is shared
 * in a way that writing to one changes the other; file systems that can clone do. Files get mode 0644, or 0755 when
 * their owner may execute them, folders 0755 (less the umask).
 *
 * A link inside the folder that leads to a place in the folder is kept as a relative link. Every other link is refused,
 * also one to elsewhere in the repository: what it leads to is not part of the output, and a copy of it would come and
 * go with files that nobody declared. `label` is what the user calls the source.
 *
 * On Linux the walk holds on to what it has opened, so that a process that swaps files for links meanwhile leads it
 * nowhere; elsewhere only the last part of each path is safe from that.
 *
 * Fails: path-outside (a link that leaves the folder, or a source that is not below `root`), output-missing (a special
 * file, a link that leads nowhere, something that can't be read).
 */
export async function copyTree(
  source: string,
  target: string,
  { root, label }: { readonly root: string; readonly label: string },
): Promise<void> {
  const from = toBytePath(source);
  const stat = await lstat(bytesOfPath(from));
  const isFolder = stat.isDirectory();
  if (!isFolder && !stat.isFile()) throw refusal(label, "is neither a file nor a folder");
  const handle = await open(bytesOfPath(from), isFolder ? folderFlags : fileFlags);
  try {
    const real = await realpath(bytesOfPath(pathOf(handle, from)), "latin1");
    const realRoot = await realpath(bytesOfPath(toBytePath(root)), "latin1");
    if (!isInside(realRoot, real)) throw outside(label, "is not inside the repository");
    const to = toBytePath(target);
    if (isFolder) await copyFolder(handle, from, to, { real, top: real, label });
    else await copyOpenFile(handle, from, to, label);
  } finally {
    await handle.close();
  }
}

/** O_NONBLOCK: a pipe that took the file's place keeps nobody waiting. */
const fileFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const folderFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_DIRECTORY;

/** Files of one folder that are copied at the same time: about as many as Node has threads for it. */
const filesAtOnce = 8;

interface Place {
  /** Real path of the folder that is copied. */
  readonly real: BytePath;
  /** Real path of the folder that the walk began with. */
  readonly top: BytePath;
  readonly label: string;
}

async function copyFolder(handle: FileHandle, path: BytePath, to: BytePath, place: Place): Promise<void> {
  const from = pathOf(handle, path);
  await mkdir(bytesOfPath(to), { mode: 0o755 });
  const entries = await readdir(bytesOfPath(from), { encoding: "latin1", withFileTypes: true });
  await inParallel(filesAtOnce, entries, async (entry) => {
    const child = join(from, entry.name);
    const label = `${place.label}/${shownPath(entry.name)}`;
    if (entry.isFile()) {
      await withOpen(child, fileFlags, (file) => copyOpenFile(file, child, join(to, entry.name), label));
    } else if (entry.isSymbolicLink()) {
      await copyLink(child, join(to, entry.name), { ...place, label });
    } else if (!entry.isDirectory()) throw refusal(label, "is a special file (a pipe, socket or device)");
  });
  // One after the other: each keeps its folders open.
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    const child = join(from, name);
    const below = { ...place, real: join(place.real, name), label: `${place.label}/${shownPath(name)}` };
    await withOpen(child, folderFlags, (folder) => copyFolder(folder, child, join(to, name), below));
  }
}

async function copyOpenFile(file: FileHandle, path: BytePath, to: BytePath, label: string): Promise<void> {
  const stat = await file.stat();
  if (!stat.isFile()) throw refusal(label, "is a special file (a pipe, socket or device)");
  const clone = constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE;
  await copyFile(bytesOfPath(pathOf(file, path)), bytesOfPath(to), clone);
  const mode = (stat.mode & 0o100) === 0 ? 0o644 : 0o755;
  if ((stat.mode & 0o7777) !== mode) await chmod(bytesOfPath(to), mode);
}

/** Names what the link leads to in the end, from where the link is: that is right in the copy too, whatever its name. */
async function copyLink(path: BytePath, to: BytePath, { real, top, label }: Place): Promise<void> {
  const goal = await realpath(bytesOfPath(path), "latin1").catch(() => {
    throw refusal(label, "is a link that leads nowhere");
  });
  if (!isInside(top, goal)) throw outside(label, `is a link to ${shownPath(goal)}, outside the output`);
  await symlink(bytesOfPath(relative(real, goal) || "."), bytesOfPath(to));
}

async function withOpen<Result>(
  path: BytePath,
  flags: number,
  work: (handle: FileHandle) => Promise<Result>,
): Promise<Result> {
  const handle = await open(bytesOfPath(path), flags);
  try {
    return await work(handle);
  } finally {
    await handle.close();
  }
}

const hasDescriptorPaths = existsSync("/proc/self/fd");

/** A path to the very thing that was opened, whatever is at its old path by now. */
function pathOf(handle: FileHandle, path: BytePath): BytePath {
  return hasDescriptorPaths ? `/proc/self/fd/${handle.fd}` : path;
}

function refusal(label: string, what: string): Failure {
  return new Failure("output-missing", `Cannot collect the output: ${label} ${what}.`, {
    hint: "Let the stage write a file, or a folder of files, to the declared path.",
  });
}

function outside(label: string, what: string): Failure {
  return new Failure("path-outside", `Cannot collect the output: ${label} ${what}.`, {
    hint: `Let the stage copy the content there instead of linking to it${dirname(label) === "." ? "" : ", or declare the whole folder as the output"}.`,
  });
}
