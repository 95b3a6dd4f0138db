import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../core/failure.ts";
import { runCommand } from "../lib/run-command.ts";
import type { Interpreter } from "./choose-python.ts";
import type { FoundUv } from "./find-uv.ts";
import { hasHashes, type InstallerOption, type Requirements } from "./read-requirements.ts";
import { redact } from "./redact.ts";
import { runInstaller } from "./run-installer.ts";
import { uvArguments } from "./uv-arguments.ts";

/** An empty environment and what belongs in it. */
export interface Installation {
  /** The environment's folder. */
  readonly folder: string;
  readonly interpreter: Interpreter;
  /** A folder for the installer's own files; the caller removes it. */
  readonly scratch: string;
  readonly requirements: Requirements;
  /** What we add ourselves (the notebook runner), without hashes. */
  readonly extras: readonly string[];
  /** The build's environment variables. */
  readonly variables: Readonly<Record<string, string>>;
  readonly machinePip: readonly InstallerOption[];
  readonly onLine: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Installs by uv where it can be had and knows every option, else by pip. Returns notices for the user. Fails:
 * environment-failed, environment-tool-missing, disk-full, cancelled.
 */
export async function install(
  installation: Installation,
  findUv: () => Promise<FoundUv>,
): Promise<readonly string[]> {
  const uv = uvArguments(installation.machinePip, installation.requirements.options, installation.variables);
  if (uv.unknown.length > 0) {
    const options = uv.unknown.map((option) => `--${option.name}`).join(", ");
    return installWithPip(installation, `Built by pip, for uv does not know ${options}: it takes longer.`);
  }
  const found = await findUv();
  if (found.kind === "absent") {
    return installWithPip(installation, `Built by pip, for uv can't be had: ${redact(found.reason)}`);
  }
  for (const round of rounds(installation)) {
    await runInstaller({
      tool: "uv",
      program: found.program,
      args: [
        ...["pip", "install", "--python", join(installation.folder, "bin/python")],
        ...(round.requireHashes ? ["--require-hashes"] : []),
        ...uv.args,
        ...round.args,
      ],
      env: uv.env,
      cwd: installation.scratch,
      specs: round.specs,
      onLine: installation.onLine,
      signal: installation.signal,
    });
  }
  return [];
}

interface Round {
  readonly args: readonly string[];
  readonly specs: readonly string[];
  readonly requireHashes: boolean;
}

/**
 * All at once, so that versions are chosen together; but what we add ourselves has no hashes, so it comes second when
 * the requirements demand them. Requirements go by files, for arguments can be read by every user of the machine.
 */
function rounds({ requirements, extras, scratch }: Installation): readonly Round[] {
  const requireHashes = hasHashes(requirements.file);
  const write = (name: string, specs: readonly string[]): readonly string[] => {
    writeFileSync(join(scratch, name), `${specs.join("\n")}\n`, { mode: 0o600 });
    return ["-r", name];
  };
  const own = requireHashes ? requirements.specs : [...requirements.specs, ...extras];
  const fileLines = (requirements.file ?? "").split(/\r?\n/).filter((line) => /^[A-Za-z0-9]/.test(line));
  const first: Round = {
    args: [
      ...(own.length > 0 ? write("requirements", own) : []),
      ...(requirements.file === undefined ? [] : write("requirements_file", [requirements.file])),
    ],
    specs: [...own, ...fileLines],
    requireHashes,
  };
  if (!requireHashes || extras.length === 0) return first.args.length > 0 ? [first] : [];
  return [first, { args: write("extras", extras), specs: extras, requireHashes: false }];
}

async function installWithPip(installation: Installation, notice: string): Promise<readonly string[]> {
  installation.onLine(notice);
  const pip = await pipFor(installation);
  const { args, env } = pipOptions(installation);
  for (const round of rounds(installation)) {
    await runInstaller({
      tool: "pip",
      program: pip.program,
      args: [
        ...pip.args,
        ...["install", "--disable-pip-version-check", "--no-compile", "--no-input"],
        ...(pip.args.includes("--python") ? [] : ["--no-warn-script-location"]),
        ...args,
        ...round.args,
      ],
      env,
      cwd: installation.scratch,
      specs: round.specs,
      onLine: installation.onLine,
      signal: installation.signal,
    });
  }
  return [notice];
}

/** The pip that Python brings along, else the machine's own working on the environment from outside (pip 22.3 or newer). */
async function pipFor({ folder, interpreter, variables, signal }: Installation): Promise<{
  readonly program: string;
  readonly args: readonly string[];
}> {
  const options = {
    env: variables,
    cwd: folder,
    timeout: 120_000,
    ...(signal === undefined ? {} : { signal }),
  };
  const python = join(folder, "bin/python");
  const brought = await runCommand(python, ["-I", "-m", "ensurepip", "--default-pip"], options);
  if (brought.exitCode === 0) return { program: python, args: ["-I", "-m", "pip"] };
  const outside = ["-m", "pip", "--python", python];
  const machine = await runCommand(interpreter.executable, [...outside, "--version"], options);
  if (machine.exitCode === 0) return { program: interpreter.executable, args: outside };
  throw new Failure(
    "environment-tool-missing",
    `Building a Python environment: there is neither uv nor pip for ${interpreter.executable} on this machine.`,
    { hint: "Install uv, or pip (Debian: apt-get install python3-venv python3-pip)." },
  );
}

/** Addresses, which may hold passwords, by variables; the rest as it was written. */
function pipOptions({ requirements, variables, machinePip }: Installation): {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
} {
  const env: Record<string, string> = { ...variables, GIT_TERMINAL_PROMPT: "0" };
  for (const name of ["index-url", "extra-index-url", "find-links", "proxy"]) {
    const values = (options: readonly InstallerOption[]): readonly string[] =>
      options.flatMap((option) => (option.name === name && option.value !== undefined ? [option.value] : []));
    const asked = values(requirements.options);
    if (asked.length === 0) continue;
    const isList = name === "extra-index-url" || name === "find-links";
    const all = isList ? [...values(machinePip), ...asked] : asked.slice(-1);
    env[`PIP_${name.replaceAll("-", "_").toUpperCase()}`] = all.join(" ");
  }
  const byVariable = new Set(["index-url", "extra-index-url", "find-links", "proxy", "user"]);
  const args = requirements.options
    .filter((option) => !byVariable.has(option.name))
    .map(({ name, value }) => (value === undefined ? dashed(name) : `${dashed(name)}=${value}`));
  return { args, env };
}

function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}
