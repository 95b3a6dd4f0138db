import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { type CommandOptions, type CommandResult, runCommand } from "../../../src/lib/run-command.ts";
import { writeFiles } from "../../support/git-project.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const root = join(import.meta.dirname, "..", "..", "..");

/** A machine as the set-up sees it: PATH is one folder, with what the test puts there; home and cache are empty. */
export interface Machine {
  readonly folder: string;
  /** All there is on PATH. */
  readonly bin: string;
  readonly cache: string;
  readonly env: Readonly<Record<string, string>>;
  /** A checkout with our tools, whose program only says how it was started. */
  readonly checkout: string;
  /** Puts a shell script on PATH, in place of what had the name. */
  program(name: string, script: string): void;
  /** What the machine's npm was asked to do, one line a call. */
  npmCalls(): readonly string[];
  setUp(variables?: Readonly<Record<string, string>>): Promise<CommandResult>;
  run(file: string, args: readonly string[], options?: Partial<CommandOptions>): Promise<CommandResult>;
}

/**
 * A machine with an old Node (ours, under another version) and an npm that notes what it is asked, and gives our Node
 * where a Node is to be installed. While a file `hang` is in the folder, that npm does not end by itself.
 */
export function makeMachine(): Machine {
  const folder = temporaryFolder("a machine");
  const [bin, cache, checkout] = ["bin", "cache", "check out"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const name of [bin, join(folder, "home")]) mkdirSync(name);
  for (const name of ["sh", "mkdir", "ln", "touch", "sleep", "cmp", "readlink"]) linkToReal(name, bin);
  makeCheckout(checkout);
  const program = (name: string, script: string): void =>
    writeFiles(bin, { [name]: { script: `#!/bin/sh\n${script}\n` } });
  const pretended = join(folder, "pretended-version.cjs");
  writeFileSync(pretended, 'Object.defineProperty(process.versions, "node", { value: "20.19.0" });');
  program("node", `exec '${process.execPath}' --require '${pretended}' "$@"`);
  program("npm", npmScript(folder));
  const env = { PATH: bin, HOME: join(folder, "home"), BODYWORK_CACHE: cache };
  const run: Machine["run"] = (file, args, options = {}) =>
    runCommand(file, args, { env, cwd: folder, timeout: 60_000, ...options });
  return {
    folder,
    bin,
    cache,
    env,
    checkout,
    program,
    npmCalls: () => readLines(join(folder, "npm-calls")),
    setUp: (variables = {}) =>
      run(join(bin, "node"), ["tools/with-setup.mjs", "setup"], {
        env: { ...env, ...variables },
        cwd: checkout,
      }),
    run,
  };
}

function linkToReal(name: string, bin: string): void {
  const real = (process.env.PATH ?? "")
    .split(delimiter)
    .map((path) => join(path, name))
    .find((path) => existsSync(path));
  if (real === undefined) throw new Error(`${name} is not on PATH`);
  symlinkSync(real, join(bin, name));
}

function makeCheckout(folder: string): void {
  for (const path of ["tools", "bodywork", "src/lib"]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(root, path), join(folder, path), { recursive: true });
  }
  writeFiles(folder, {
    "package.json": '{ "type": "module" }\n',
    "package-lock.json": '{ "lockfileVersion": 3 }\n',
    "src/main.ts": `
const argv: readonly string[] = process.argv.slice(2);
const started = { argv, cwd: process.cwd(), node: process.execPath, path: process.env.PATH };
process.stdout.write(JSON.stringify(started));
if (argv[0] === "exit") process.exitCode = Number(argv[1]);
`,
  });
}

function npmScript(folder: string): string {
  return `
echo "$@" >>'${join(folder, "npm-calls")}'
target=
while [ $# -gt 1 ]; do
  [ "$1" != --prefix ] || target=$2
  shift
done
trap 'echo "ended by a signal" >>"${join(folder, "npm-calls")}"; exit 1' INT TERM
if [ -e '${join(folder, "hang")}' ]; then touch '${join(folder, "hanging")}'; fi
while [ -e '${join(folder, "hang")}' ]; do sleep 0.05; done
if [ -n "$target" ]; then
  mkdir -p "$target/node_modules/\${1%@*}/bin"
  ln -s '${process.execPath}' "$target/node_modules/\${1%@*}/bin/node"
else
  mkdir -p node_modules
fi`;
}

function readLines(path: string): readonly string[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8").trim().split("\n");
}
