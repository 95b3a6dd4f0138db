import { createHash } from "node:crypto";
import { join } from "node:path";
import { Failure } from "../core/failure.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { acquireLock } from "../lib/process-lock.ts";
import { runCommand } from "../lib/run-command.ts";
import { compareVersions, type PythonCandidate, scanPythons } from "./scan-pythons.ts";

/** An interpreter that environments can be made from. */
export interface Interpreter {
  /** The true program, never a shim or another environment's. */
  readonly executable: string;
  /** `3.11.7`. */
  readonly version: string;
  /** Where it looks for packages, relative to an environment: `lib/python3.11/site-packages`. */
  readonly sitePackages: string;
}

export interface PythonChoice {
  readonly interpreter: Interpreter;
  /** Why it is not the wanted version; undefined when it is. */
  readonly instead: string | undefined;
}

export interface Pythons {
  /** What was chosen before, if the machine's interpreters are still the same. Starts no process. */
  remembered(wanted: string | undefined): PythonChoice | undefined;
  /** Chooses, fetching the wanted version when it is missing and can be had. Fails: python-missing (none at all). */
  choose(
    wanted: string | undefined,
    onLine: (line: string) => void,
    signal?: AbortSignal,
  ): Promise<PythonChoice>;
}

export interface PythonsOptions {
  /** Where choices are remembered, one small file for each wanted version. */
  readonly folder: string;
  /** Where a fetched Python is put. */
  readonly fetchedFolder: string;
  readonly machine: Readonly<Record<string, string>>;
  /** Tries to fetch a version into `fetchedFolder`; the reason when it can't be had, undefined when it is there. */
  readonly fetch: (
    version: string,
    onLine: (line: string) => void,
    signal?: AbortSignal,
  ) => Promise<string | undefined>;
}

/** A fetch that failed is not tried again for a day, or until the machine's interpreters change. */
const fetchAgainAfter = 24 * 3600 * 1000;

export function createPythons(options: PythonsOptions): Pythons {
  const scan = (): readonly PythonCandidate[] => scanPythons(options.machine, options.fetchedFolder);

  const decide = async (
    wanted: string | undefined,
    onLine: (line: string) => void,
    signal?: AbortSignal,
  ): Promise<PythonChoice> => {
    const before = scan();
    const found = await findWanted(before, wanted, options.machine);
    if (found !== undefined) return remember(wanted, scan(), { interpreter: found, instead: undefined });
    const reason = wanted === undefined ? undefined : await options.fetch(wanted, onLine, signal);
    const after = scan();
    const fetched = await findWanted(after, wanted, options.machine);
    if (fetched !== undefined) return remember(wanted, after, { interpreter: fetched, instead: undefined });
    const nearest = await findNearest(after, wanted, options.machine);
    if (nearest === undefined) throw noPython(wanted);
    const instead = `Python ${wanted} is not on this machine${reason === undefined ? "" : ` and could not be fetched (${reason})`}; Python ${nearest.version} (${nearest.executable}) is used instead.`;
    return remember(wanted, after, { interpreter: nearest, instead });
  };

  const remember = (
    wanted: string | undefined,
    candidates: readonly PythonCandidate[],
    choice: PythonChoice,
  ): PythonChoice => {
    const memory: Memory = { ...choice, fingerprint: fingerprintOf(candidates), at: Date.now() };
    writeFileAtomic(memoryFile(options.folder, wanted), JSON.stringify(memory));
    return choice;
  };

  return {
    remembered(wanted) {
      const memory = jsonIfThere<Memory>(memoryFile(options.folder, wanted));
      if (memory === undefined || memory.fingerprint !== fingerprintOf(scan())) return undefined;
      const age = Date.now() - memory.at;
      if (memory.instead !== undefined && (age < 0 || age > fetchAgainAfter)) return undefined;
      return { interpreter: memory.interpreter, instead: memory.instead };
    },
    async choose(wanted, onLine, signal) {
      // Stages that want the same version start together: one of them looks and fetches for all.
      const lock = await acquireLock(`${memoryFile(options.folder, wanted)}.lock`, { signal });
      try {
        return this.remembered(wanted) ?? (await decide(wanted, onLine, signal));
      } finally {
        lock.release();
      }
    },
  };
}

interface Memory extends PythonChoice {
  readonly fingerprint: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

function memoryFile(folder: string, wanted: string | undefined): string {
  return join(folder, `${(wanted ?? "any").replace(/[^A-Za-z0-9.]/g, "_")}.json`);
}

function fingerprintOf(candidates: readonly PythonCandidate[]): string {
  const text = candidates.map((one) => `${one.path}\0${one.stamp}`).join("\n");
  return createHash("sha256").update(text).digest("hex");
}

async function findWanted(
  candidates: readonly PythonCandidate[],
  wanted: string | undefined,
  machine: Readonly<Record<string, string>>,
): Promise<Interpreter | undefined> {
  const minor = /^3\.\d+/.exec(wanted ?? "")?.[0];
  const named = candidates.filter((one) => minor !== undefined && one.minor === minor);
  const unnamed = candidates.filter((one) => one.minor === undefined || minor === undefined);
  for (const candidate of [...named, ...unnamed]) {
    const interpreter = await inspect(candidate, machine);
    if (interpreter !== undefined && satisfies(interpreter.version, wanted)) return interpreter;
  }
  return undefined;
}

function satisfies(version: string, wanted: string | undefined): boolean {
  return wanted === undefined || version === wanted || version.startsWith(`${wanted}.`);
}

/** Code runs more often on a Python a little newer than on one older: the same minor, the next newer, the next older. */
async function findNearest(
  candidates: readonly PythonCandidate[],
  wanted: string | undefined,
  machine: Readonly<Record<string, string>>,
): Promise<Interpreter | undefined> {
  const all: Interpreter[] = [];
  for (const candidate of candidates) {
    const interpreter = await inspect(candidate, machine);
    if (interpreter !== undefined) all.push(interpreter);
  }
  const minor = /^\d+\.\d+/.exec(wanted ?? "")?.[0] ?? "3.0";
  const sorted = all.toSorted((left, right) => compareVersions(left.version, right.version));
  const older = sorted.filter((one) => compareVersions(one.version, minor) < 0);
  const sameOrNewer = sorted.filter((one) => compareVersions(one.version, minor) >= 0);
  const nextMinor = /^\d+\.\d+\./.exec(sameOrNewer[0]?.version ?? "")?.[0];
  // Of the nearest minor, the one that the user meets first.
  const nearest =
    nextMinor === undefined ? older.at(-1) : all.find((one) => one.version.startsWith(nextMinor));
  const isPython2 = /^2(\.|$)/.test(wanted ?? "");
  return isPython2 ? all[0] : nearest;
}

const inspection = `
import json, os, platform, sys, sysconfig
name = "venv" if "venv" in sysconfig.get_scheme_names() else "posix_prefix"
path = sysconfig.get_path("purelib", name, vars={"base": "@", "platbase": "@"})
print(json.dumps({
  "executable": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
  "version": platform.python_version(),
  "implementation": sys.implementation.name,
  "sitePackages": path[2:],
}))`;

import { jsonIfThere } from "../lib/read-if-there.ts";

async function inspect(
  candidate: PythonCandidate,
  machine: Readonly<Record<string, string>>,
): Promise<Interpreter | undefined> {
  const result = await runCommand(candidate.path, ["-I", "-S", "-c", inspection], {
    env: { ...machine },
    cwd: "/",
    timeout: 20_000,
  });
  if (result.exitCode !== 0) return undefined;
  try {
    const { implementation, ...interpreter } = JSON.parse(result.stdout) as Interpreter & {
      readonly implementation: string;
    };
    const isUsable = implementation === "cpython" && interpreter.version.startsWith("3.");
    return isUsable && interpreter.sitePackages.startsWith("lib") ? interpreter : undefined;
  } catch {
    return undefined;
  }
}

function noPython(wanted: string | undefined): Failure {
  return new Failure(
    "python-missing",
    `Looked for Python ${wanted ?? "3"} on PATH, among pyenv's versions and uv's: there is no Python 3 on this machine.`,
    { hint: "Install Python 3 (Debian: apt-get install python3-venv), or pyenv, and try again." },
  );
}
