import { closeSync, openSync, readSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { entriesIfThere, textIfThere } from "../lib/read-if-there.ts";

/** A file that may be an interpreter; found by looking, not by running it. */
export interface PythonCandidate {
  readonly path: string;
  /** `3.11` from `python3.11`; undefined for plain `python3` and `python`. */
  readonly minor: string | undefined;
  /** Changes when the file does. */
  readonly stamp: string;
}

/**
 * Every Python 3 of the machine, the ones that the user meets first before the others: PATH, then pyenv's versions, then
 * those that uv fetched. Shims of pyenv are replaced by what they stand for: a shim means another interpreter in
 * another folder. Starts no process; about 1 ms.
 */
export function scanPythons(
  machine: Readonly<Record<string, string>>,
  fetchedFolder: string,
): readonly PythonCandidate[] {
  const onPath = pathFolders(machine);
  const versioned = [...pyenvFolders(machine), ...uvFolders(machine, fetchedFolder)];
  const paths = [
    ...plainNames.flatMap((name) => onPath.map((folder) => join(folder, name))),
    ...versionedNames.flatMap((name) => onPath.map((folder) => join(folder, name))),
    // Here the folder tells the version, which saves most of the looks.
    ...versioned.map((folder) => join(folder, "bin", `python${/3\.\d+/.exec(basename(folder))?.[0]}`)),
  ];
  const found = new Map<string, PythonCandidate>();
  for (const path of paths) {
    const candidate = candidateAt(path);
    if (candidate !== undefined && !found.has(candidate.path)) found.set(candidate.path, candidate);
  }
  return [...found.values()];
}

const plainNames = ["python3", "python"];
const versionedNames = Array.from({ length: 15 }, (_, index) => `python3.${20 - index}`);

function pathFolders(machine: Readonly<Record<string, string>>): readonly string[] {
  const folders = (machine.PATH ?? "").split(":").filter((folder) => folder.startsWith("/"));
  return [...new Set(folders)].flatMap((folder) => {
    if (basename(folder) !== "shims") return [folder];
    const root = dirname(folder);
    const isPyenv = entriesIfThere(join(root, "versions")).length > 0;
    return isPyenv
      ? chosenByPyenv(root, machine).map((version) => join(root, "versions", version, "bin"))
      : [folder];
  });
}

function chosenByPyenv(root: string, machine: Readonly<Record<string, string>>): readonly string[] {
  const chosen = machine.PYENV_VERSION ?? textIfThere(join(root, "version")) ?? "";
  return chosen.split(/[\s:]+/).filter((version) => /^[A-Za-z0-9]/.test(version) && version !== "system");
}

function pyenvFolders(machine: Readonly<Record<string, string>>): readonly string[] {
  const root = machine.PYENV_ROOT ?? join(machine.HOME ?? "/nonexistent", ".pyenv");
  return entriesIfThere(join(root, "versions"))
    .filter((version) => /^3\.\d+\.\d+$/.test(version))
    .sort(compareVersions)
    .reverse()
    .map((version) => join(root, "versions", version));
}

function uvFolders(machine: Readonly<Record<string, string>>, fetchedFolder: string): readonly string[] {
  const data = machine.XDG_DATA_HOME ?? join(machine.HOME ?? "/nonexistent", ".local/share");
  return [fetchedFolder, machine.UV_PYTHON_INSTALL_DIR ?? join(data, "uv/python")].flatMap((folder) =>
    entriesIfThere(folder)
      .filter((name) => /^cpython-3\.\d+\.\d+-/.test(name))
      .sort(compareVersions)
      .reverse()
      .map((name) => join(folder, name)),
  );
}

/** `3.9.18` before `3.11.7`; by the numbers in the text. (A locale's numeric order takes 5 ms when first used.) */
export function compareVersions(left: string, right: string): number {
  const [ours, theirs] = [left.match(/\d+/g) ?? [], right.match(/\d+/g) ?? []];
  for (let index = 0; index < Math.max(ours.length, theirs.length); index += 1) {
    const difference = Number(ours[index] ?? -1) - Number(theirs[index] ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

function candidateAt(path: string): PythonCandidate | undefined {
  try {
    // Most paths hold nothing; an exception for each would take most of the time.
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    const real = realpathSync.native(path);
    if (!stat.isFile() || (stat.mode & 0o111) === 0) return undefined;
    // A script in a program's place decides when it runs what it stands for, also by its own name: keep that name.
    const kept = isScript(real) ? path : real;
    return {
      path: kept,
      minor: /^python(3\.\d+)$/.exec(basename(kept))?.[1],
      stamp: `${stat.mtimeMs}:${stat.size}`,
    };
  } catch {
    return undefined;
  }
}

function isScript(path: string): boolean {
  const file = openSync(path, "r");
  try {
    const start = Buffer.alloc(2);
    readSync(file, start, 0, 2, 0);
    return start.toString("latin1") === "#!";
  } finally {
    closeSync(file);
  }
}
