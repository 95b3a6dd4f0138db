import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { asFailure, Failure } from "../core/failure.ts";
import { currentBoot } from "../lib/current-boot.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { hasCode } from "../lib/has-code.ts";
import { acquireLock } from "../lib/process-lock.ts";
import type { BuildOptions, Environment, EnvironmentRequest, Environments } from "../ports/environments.ts";
import { createPythons, type PythonChoice } from "./choose-python.ts";
import { environmentKey } from "./environment-key.ts";
import { markUsed, readRecord, writeRecord } from "./environment-record.ts";
import { fetchPython } from "./fetch-python.ts";
import { rememberedUv } from "./find-uv.ts";
import { install } from "./install.ts";
import { buildVariables, readPipSettings } from "./machine-settings.ts";
import { makeVenv, moveScripts } from "./make-venv.ts";
import { readLock } from "./read-lock.ts";
import { readRequirements } from "./read-requirements.ts";
import { redact } from "./redact.ts";
import { readSettled, settleEnvironment } from "./settle-environment.ts";
import {
  clearEnvironment,
  listEnvironments,
  makeUnfinished,
  sweepEnvironments,
} from "./sweep-environments.ts";

export interface UvEnvironmentsOptions {
  /** Absolute; environments, their logs and locks are kept in it. Nobody else writes there. */
  readonly folder: string;
  /** Absolute; uv and Pythons are installed here when the machine has none. */
  readonly toolsFolder: string;
  /** The machine's variables; a build sees only what it needs of them. */
  readonly environment: Readonly<Record<string, string>>;
  /** What each environment's `_bodywork.pth` says: run by Python at each start in it. */
  readonly startupPth: string;
}

/**
 * Environments in folders named by their key, `<folder>/<key>`. Each is made under another name in the same folder and
 * renamed when it is whole, with its record `environment.json` inside: what bears a key's name can be used, whatever was
 * killed. After a machine's sudden end those that had not reached the disk are made again.
 */
export function createUvEnvironments(options: UvEnvironmentsOptions): Environments {
  const { folder, toolsFolder, startupPth } = options;
  const variables = buildVariables(options.environment);
  const logFile = (key: string): string => join(folder, "logs", `${key}.log`);
  const lockFile = (key: string): string => join(folder, "locks", key);
  const uv = rememberedUv({ machine: variables, toolsFolder });
  const fetchedFolder = join(toolsFolder, "python");
  const pythons = createPythons({
    folder: join(folder, "pythons"),
    fetchedFolder,
    machine: variables,
    fetch: (version, onLine, signal) =>
      fetchPython(version, { variables, folder: fetchedFolder, uv, onLine, signal }),
  });
  const keyOf = (request: EnvironmentRequest, choice: PythonChoice): string =>
    environmentKey(request, choice.interpreter, { pip: readPipSettings(variables), variables });

  const open = (key: string, choice: PythonChoice): Environment | undefined => {
    const home = join(folder, key);
    const record = readRecord(home);
    const python = join(home, "bin/python");
    if (record === undefined || !existsSync(python)) return undefined;
    const isOnDisk = record.boot === currentBoot() || readSettled(home) !== undefined;
    if (!isOnDisk) return undefined;
    try {
      keepStartupFile(join(home, choice.interpreter.sitePackages), startupPth);
      markUsed(home, new Date());
    } catch {
      return undefined; // Swept this moment.
    }
    const warnings = [...(choice.instead === undefined ? [] : [choice.instead]), ...record.warnings];
    return { key, folder: home, python, pythonVersion: record.pythonVersion, lock: record.lock, warnings };
  };

  const settle = (environment: Environment): Promise<void> =>
    settleEnvironment({
      folder: environment.folder,
      python: environment.python,
      logFile: logFile(environment.key),
      env: variables,
    }).catch((error: unknown) =>
      appendFileSync(logFile(environment.key), `Bytecode is not compiled: ${asFailure(error).message}\n`),
    );

  const build = async (
    key: string,
    request: EnvironmentRequest,
    choice: PythonChoice,
    buildOptions: BuildOptions,
  ): Promise<Environment> => {
    const { interpreter } = choice;
    clearEnvironment(folder, key);
    const scratch = makeUnfinished(folder, key);
    const making = join(scratch, "environment");
    const onLine = (line: string): void => {
      appendFileSync(logFile(key), `${line}\n`);
      buildOptions.onOutput?.(`${line}\n`);
    };
    try {
      startLog(logFile(key), request, choice);
      // uv looks for settings in the folders above too; those are nobody's here. It stops at the first file.
      writeFileSync(join(scratch, "uv.toml"), "");
      makeVenv(making, interpreter);
      const warnings = await install(
        {
          folder: making,
          interpreter,
          scratch,
          requirements: readRequirements(request.requirements, request.requirementsFile),
          extras: request.notebook ? notebookRunner : [],
          variables: { ...variables, UV_PYTHON_DOWNLOADS: "never" },
          machinePip: readPipSettings(variables),
          onLine,
          signal: buildOptions.signal,
        },
        () => uv(onLine, buildOptions.signal),
      );
      const sitePackages = join(making, interpreter.sitePackages);
      moveScripts(join(making, "bin"), making, join(folder, key));
      writeFileSync(join(sitePackages, startupName), startupPth);
      writeRecord(making, {
        key,
        pythonVersion: interpreter.version,
        lock: readLock(sitePackages),
        warnings,
        createdAt: new Date().toISOString(),
        boot: currentBoot(),
      });
      publish(making, join(folder, key));
      const made = open(key, choice);
      if (made === undefined)
        throw new Failure("internal", `The environment ${key} is gone after it was made.`);
      await settle(made);
      return made;
    } catch (error) {
      appendFileSync(logFile(key), `Failed: ${asFailure(error).message}\n`);
      throw error;
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  };

  return {
    find(request) {
      const choice = pythons.remembered(request.python);
      return choice === undefined ? undefined : open(keyOf(request, choice), choice);
    },

    async prepare(request, buildOptions = {}) {
      return orCancelled(buildOptions.signal, async () => {
        for (const name of ["logs", "locks", "pythons"]) {
          mkdirSync(join(folder, name), { recursive: true, mode: 0o700 });
        }
        readRequirements(request.requirements, request.requirementsFile); // Refused before anything is fetched.
        const onLine = (line: string): void => buildOptions.onOutput?.(`${line}\n`);
        const choice =
          pythons.remembered(request.python) ??
          (await pythons.choose(request.python, onLine, buildOptions.signal));
        if (buildOptions.strict === true && choice.instead !== undefined) throw wrongPython(choice.instead);
        const key = keyOf(request, choice);
        const known = open(key, choice);
        if (known !== undefined) {
          if (wasNeverSettled(known.folder)) await settle(known);
          return { ...known, built: false };
        }
        const showProgress = progressOfOther(logFile(key), buildOptions.onOutput);
        const lock = await acquireLock(lockFile(key), { signal: buildOptions.signal, onWait: showProgress });
        try {
          const byOther = open(key, choice);
          if (byOther !== undefined) {
            showProgress(); // Its end.
            return { ...byOther, built: false };
          }
          return { ...(await build(key, request, choice, buildOptions)), built: true };
        } finally {
          lock.release();
        }
      });
    },

    async list() {
      return listEnvironments(folder);
    },

    async sweep(sweepOptions) {
      const gone = await sweepEnvironments(folder, lockFile, sweepOptions);
      for (const { key } of gone) rmSync(logFile(key), { force: true });
      return gone;
    },
  };
}

/** Runs notebooks, and saves what they print as HTML. */
const notebookRunner = ["nbclient", "nbconvert", "ipykernel"];

const startupName = "_bodywork.pth";

/** A newer tool's start-up file replaces an older one's, also in environments that are in use: it is read at start only. */
function keepStartupFile(sitePackages: string, content: string): void {
  const path = join(sitePackages, startupName);
  if (readFileSync(path, "utf8") !== content) writeFileAtomic(path, content, 0o644);
}

/** Settling takes seconds; when it has not come to its end after ten minutes, it was killed. */
function wasNeverSettled(home: string): boolean {
  if (readSettled(home) !== undefined) return false;
  const createdAt = Date.parse(readRecord(home)?.createdAt ?? "");
  return Date.now() - createdAt > 600_000;
}

function startLog(path: string, request: EnvironmentRequest, choice: PythonChoice): void {
  const asked = [
    ...request.requirements,
    ...(request.requirementsFile === undefined ? [] : ["(requirements file)"]),
  ];
  const lines = [
    new Date().toISOString(),
    `Python ${choice.interpreter.version} (${choice.interpreter.executable})`,
    `requirements: ${asked.map(redact).join(", ") || "none"}`,
  ];
  writeFileSync(path, `${lines.join("\n")}\n`, { mode: 0o600 });
}

function publish(making: string, home: string): void {
  renameSync(making, home);
  const parent = openSync(join(home, ".."), "r");
  try {
    fsyncSync(parent);
  } finally {
    closeSync(parent);
  }
}

/** Shows what the one who builds has shown so far, and goes on to. */
function progressOfOther(log: string, onOutput: ((text: string) => void) | undefined): () => void {
  let shown: number | undefined;
  return () => {
    if (onOutput === undefined) return;
    if (shown === undefined) {
      onOutput("Waiting for another run that builds the same environment\n");
      shown = 0;
    }
    const size = statSync(log, { throwIfNoEntry: false })?.size ?? 0;
    if (size <= shown) return;
    onOutput(readFileSync(log).subarray(shown, size).toString("utf8"));
    shown = size;
  };
}

async function orCancelled<Result>(
  signal: AbortSignal | undefined,
  action: () => Promise<Result>,
): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    if (signal?.aborted !== true) throw withDiskFull(error);
    throw new Failure("cancelled", "Preparing a Python environment was cancelled.", { cause: error });
  }
}

function withDiskFull(error: unknown): unknown {
  if (!hasCode(error, "ENOSPC")) return error;
  return new Failure("disk-full", "Building a Python environment: the disk is full.", { cause: error });
}

function wrongPython(instead: string): Failure {
  return new Failure("python-missing", instead.replace(/; Python \S+ \(.*\) is used instead\.$/, "."), {
    hint: "Install this version of Python, ask for one that is there (pipeline.python), or deploy without --strict.",
  });
}
