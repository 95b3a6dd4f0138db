import { Failure } from "../core/failure.ts";
import { type CommandResult, runCommand } from "../lib/run-command.ts";

/** What git is given of the machine, and where it may work. */
export interface GitMachine {
  /** The machine's variables; those that would steer git are left out. */
  readonly environment: Readonly<Record<string, string>>;
  /** Absolute and ours: git's working folder, and its home when it works on our files only. */
  readonly folder: string;
}

export interface GitCall {
  readonly args: readonly string[];
  /** The mirror; none for questions to the user's own git. */
  readonly gitDir?: string;
  /** Name and value, over the fixed ones. */
  readonly config?: readonly (readonly [string, string])[];
  readonly variables?: Readonly<Record<string, string>>;
  /** Programs and niceness in front of git. */
  readonly before?: readonly string[];
  readonly cwd?: string;
  readonly input?: string;
  readonly timeout?: number;
  readonly signal?: AbortSignal | undefined;
  readonly maxOutput?: number;
}

/**
 * Runs git on a mirror with nothing but what is said here: no configuration of the system, the user or a template, no
 * hooks, filters, helpers, submodules or maintenance, no other protocol, no questions. What it did is in the result.
 * Fails: git-missing, repository-unreachable (the machine can't run it now).
 */
export async function runGit(machine: GitMachine, call: GitCall): Promise<CommandResult> {
  const dir = call.gitDir === undefined ? [] : [`--git-dir=${call.gitDir}`];
  return run(machine, call, [...dir, ...call.args], {
    ...isolatedVariables(machine),
    ...configVariables([...fixedConfig, ...(call.config ?? [])]),
    ...call.variables,
  });
}

/** Asks the user's own git, with their configuration. */
export async function runUsersGit(machine: GitMachine, call: GitCall): Promise<CommandResult> {
  return run(machine, call, call.args, {
    ...machineVariables(machine.environment),
    ...questionsOff,
    // No repository is meant, also when our folder lies in one.
    GIT_CEILING_DIRECTORIES: machine.folder.replace(/\/[^/]*$/, "") || "/",
  });
}

/**
 * The oldest git that we use: from 2.32 on its configuration can be replaced by variables (GIT_CONFIG_COUNT,
 * GIT_CONFIG_GLOBAL), on which our isolation rests. Fails as `runGit` does.
 */
export async function requireGit(machine: GitMachine): Promise<void> {
  const { stdout } = await runGit(machine, { args: ["--version"] });
  const [, major = 0, minor = 0] = /(\d+)\.(\d+)/.exec(stdout)?.map(Number) ?? [];
  if (major > 2 || (major === 2 && minor >= 32)) return;
  throw new Failure("git-missing", `Cannot fetch repositories: ${stdout.trim() || "git"} is too old.`, {
    hint: "Install git 2.32 or newer.",
  });
}

async function run(
  machine: GitMachine,
  call: GitCall,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<CommandResult> {
  const [program = "git", ...rest] = [...(call.before ?? []), "git", ...args];
  const result = await runCommand(program, rest, {
    env,
    cwd: call.cwd ?? machine.folder,
    ...(call.input === undefined ? {} : { input: call.input }),
    ...(call.timeout === undefined ? {} : { timeout: call.timeout }),
    ...(call.signal === undefined ? {} : { signal: call.signal }),
    ...(call.maxOutput === undefined ? {} : { maxOutput: call.maxOutput }),
  });
  if (result.startError === undefined) return result;
  if (!["ENOENT", "EACCES"].includes(result.startError)) {
    throw new Failure("repository-unreachable", `Cannot run git: ${result.startError}.`, {
      hint: "The machine is short of processes, file handles or memory. Try again.",
    });
  }
  throw new Failure("git-missing", `Cannot run git: ${result.startError}. git is not available.`, {
    hint: "Install git 2.32 or newer, and have it on PATH.",
  });
}

const questionsOff = { LC_ALL: "C", GIT_TERMINAL_PROMPT: "0", GIT_ASKPASS: "" };

function isolatedVariables(machine: GitMachine): Record<string, string> {
  return {
    ...machineVariables(machine.environment),
    ...questionsOff,
    HOME: machine.folder,
    XDG_CONFIG_HOME: machine.folder,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_ATTR_NOSYSTEM: "1",
    GIT_LFS_SKIP_SMUDGE: "1",
    GIT_NO_REPLACE_OBJECTS: "1",
    GIT_PROTOCOL_FROM_USER: "0",
    GIT_ALLOW_PROTOCOL: "none",
  };
}

/** Without what steers git (`GIT_DIR`, `GIT_CONFIG_*`, `GIT_TRACE`…), but for where certificates are. */
function machineVariables(environment: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) => !name.startsWith("GIT_") || name === "GIT_SSL_CAINFO" || name === "GIT_SSL_CAPATH",
    ),
  );
}

const fixedConfig: readonly (readonly [string, string])[] = [
  ["core.hooksPath", "/dev/null"],
  ["core.fsmonitor", "false"],
  ["core.attributesFile", "/dev/null"],
  ["core.askPass", ""],
  ["core.protectHFS", "true"],
  ["core.protectNTFS", "true"],
  ["credential.helper", ""],
  ["safe.bareRepository", "explicit"],
  ["submodule.recurse", "false"],
  ["fetch.recurseSubmodules", "false"],
  // One pack for each fetch: what a killed fetch leaves lies in one folder, and its size is quickly told.
  ["fetch.unpackLimit", "1"],
  ["fetch.writeCommitGraph", "false"],
  ["transfer.fsckObjects", "true"],
  ["transfer.credentialsInUrl", "die"],
  ["transfer.bundleURI", "false"],
  // Slips of old tools, harmless and found in well-known repositories; the forges accept them too.
  ["fetch.fsck.badTimezone", "ignore"],
  ["fetch.fsck.missingSpaceBeforeDate", "ignore"],
  ["fetch.fsck.zeroPaddedFilemode", "ignore"],
  ["gc.auto", "0"],
  ["gc.autoDetach", "false"],
  ["maintenance.auto", "false"],
  ["http.followRedirects", "initial"],
  // A byte a second for a minute: a server that is at work sends more than that to say so.
  ["http.lowSpeedLimit", "1"],
  ["http.lowSpeedTime", "60"],
  ["i18n.logOutputEncoding", "UTF-8"],
  ["log.showSignature", "false"],
];

/** Configuration as variables: it is in no file, and not in the arguments that every process of the machine can read. */
function configVariables(config: readonly (readonly [string, string])[]): Record<string, string> {
  return Object.fromEntries([
    ["GIT_CONFIG_COUNT", String(config.length)],
    ...config.flatMap(([name, value], index) => [
      [`GIT_CONFIG_KEY_${index}`, name],
      [`GIT_CONFIG_VALUE_${index}`, value],
    ]),
  ]);
}
