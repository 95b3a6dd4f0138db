import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { acquireLock } from "../lib/process-lock.ts";
import { runCommand } from "../lib/run-command.ts";
import { scanPythons } from "./scan-pythons.ts";

/** The uv that is installed where the machine has none. */
export const uvVersion = "0.13.9";

/** Where uv is, or why it can't be had, in one line. */
export type FoundUv =
  | { readonly kind: "found"; readonly program: string }
  | { readonly kind: "absent"; readonly reason: string };

interface FindUvOptions {
  readonly machine: Readonly<Record<string, string>>;
  /** uv is installed below it once. */
  readonly toolsFolder: string;
  readonly onLine: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Finds uv when it is first needed. */
export type UvFinder = (onLine: (line: string) => void, signal?: AbortSignal) => Promise<FoundUv>;

/** What was found is remembered while we live; what was not, for ten minutes. */
export function rememberedUv(options: {
  readonly machine: Readonly<Record<string, string>>;
  readonly toolsFolder: string;
}): UvFinder {
  let last: { readonly found: FoundUv; readonly at: number } | undefined;
  return async (onLine, signal) => {
    const isFresh =
      last !== undefined &&
      (last.found.kind === "found" ? existsSync(last.found.program) : performance.now() - last.at < 600_000);
    if (last === undefined || !isFresh) {
      last = { found: await findUv({ ...options, onLine, signal }), at: performance.now() };
    }
    return last.found;
  };
}

/** uv on PATH, else ours, else installed once by the machine's pip, or by a venv's where the machine has none. */
async function findUv(options: FindUvOptions): Promise<FoundUv> {
  const onPath = await uvOnPath(options.machine);
  if (onPath !== undefined) return { kind: "found", program: onPath };
  const ours = join(options.toolsFolder, `uv-${uvVersion}`, "uv");
  if (existsSync(ours)) return { kind: "found", program: ours };
  const lock = await acquireLock(join(options.toolsFolder, "uv.lock"), { signal: options.signal });
  try {
    return existsSync(ours) ? { kind: "found", program: ours } : await installUv(ours, options);
  } finally {
    lock.release();
  }
}

/** Older ones lack options that we use. */
const oldestUsable = [0, 5];

async function uvOnPath(machine: Readonly<Record<string, string>>): Promise<string | undefined> {
  for (const folder of (machine.PATH ?? "").split(delimiter)) {
    const program = join(folder, "uv");
    if (!folder.startsWith("/") || !existsSync(program)) continue;
    const result = await runCommand(program, ["--version"], {
      env: { ...machine },
      cwd: "/",
      timeout: 20_000,
    });
    const version = /^uv (\d+)\.(\d+)/.exec(result.stdout);
    if (result.exitCode !== 0 || version === null) continue;
    const [major, minor] = [Number(version[1]), Number(version[2])];
    if (major > 0 || minor >= (oldestUsable[1] as number)) return program;
  }
  return undefined;
}

async function installUv(ours: string, options: FindUvOptions): Promise<FoundUv> {
  options.onLine(`Installing uv ${uvVersion}, the tool that builds environments (once)`);
  mkdirSync(options.toolsFolder, { recursive: true, mode: 0o700 });
  const temporary = mkdtempSync(join(options.toolsFolder, ".uv-"));
  try {
    const reasons: string[] = [];
    for (const { path } of scanPythons(options.machine, options.toolsFolder).slice(0, 3)) {
      const failed = await pipInstallUv(path, temporary, options);
      options.signal?.throwIfAborted();
      if (failed === undefined) {
        mkdirSync(dirname(ours), { recursive: true, mode: 0o700 });
        renameSync(join(temporary, "target/bin/uv"), ours);
        return { kind: "found", program: ours };
      }
      reasons.push(failed);
    }
    return { kind: "absent", reason: reasons[0] ?? "there is no Python 3 with pip on this machine" };
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** The reason when it failed. */
async function pipInstallUv(
  python: string,
  temporary: string,
  options: FindUvOptions,
): Promise<string | undefined> {
  const env = { ...options.machine };
  const run = (program: string, args: readonly string[], timeout: number) =>
    runCommand(program, args, {
      env,
      cwd: temporary,
      timeout,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
  const install = (program: string) =>
    run(
      program,
      [
        ...[
          "-m",
          "pip",
          "install",
          "--quiet",
          "--disable-pip-version-check",
          "--no-deps",
          "--only-binary",
          ":all:",
        ],
        ...["--target", join(temporary, "target"), `uv==${uvVersion}`],
      ],
      300_000,
    );
  let result = await install(python);
  if (result.exitCode !== 0 && /No module named '?pip/.test(result.stderr)) {
    const made = await run(python, ["-m", "venv", join(temporary, "venv")], 120_000);
    if (made.exitCode === 0) result = await install(join(temporary, "venv/bin/python"));
  }
  if (result.exitCode === 0 && existsSync(join(temporary, "target/bin/uv"))) return undefined;
  const lines = result.stderr.split("\n").filter((line) => line.trim() !== "");
  return lines.find((line) => /^ERROR|No module/.test(line)) ?? lines.at(-1) ?? "pip could not install it";
}
