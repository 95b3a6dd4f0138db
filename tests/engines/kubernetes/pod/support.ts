import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join } from "node:path";

import type { PodReport, PodSpecification } from "../../../../src/engines/kubernetes/pod/pod-contract.ts";
import { programObject } from "../../../../src/engines/kubernetes/pod/program.ts";
import { type CommandResult, runCommand } from "../../../../src/lib/run-command.ts";
import { type Files, writeFiles } from "../../../support/git-project.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

/** The folders of a pod, on this machine. */
export interface Pod {
  readonly top: string;
  readonly checkout: string;
  readonly cache: string;
  readonly storage: string;
  /** Runs the pod's container to its end; again in the same folders, as a restarted container would. */
  run(run?: PodRun): Promise<PodResult>;
}

export interface PodRun {
  readonly specification?: Partial<PodSpecification>;
  readonly variables?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly onOutput?: (text: string) => void;
}

export interface PodResult {
  readonly exitCode: number | undefined;
  readonly log: string;
  /** Undefined when nothing was written. */
  readonly report: PodReport | undefined;
}

/** A pod that has the commit of these files in small parts, and the program as its ConfigMap gives it. */
export async function makePod(files: Files): Promise<Pod> {
  const top = realpathSync(mkdtempSync(join(temporaryFolder("pod"), "pod-")));
  const [program, checkout] = [join(top, "program"), join(top, "work", "bodywork_project")];
  for (const name of ["program", "sources", "work", "cache", "storage", "home"]) mkdirSync(join(top, name));
  const data = programObject("default").data as Readonly<Record<string, string>>;
  for (const [name, text] of Object.entries(data)) writeFileSync(join(program, name), text);
  putSources(join(top, "sources"), await archiveOf(files));
  const terminationLog = join(top, "termination-log");
  return {
    top,
    checkout,
    cache: join(top, "cache"),
    storage: join(top, "storage"),
    async run({ specification = {}, variables = {}, signal, onOutput } = {}) {
      writeFileSync(terminationLog, "");
      const spec = aSpecification(specification);
      const options = {
        env: {
          PATH: await plainPath(),
          HOME: join(top, "home"),
          PIP_NO_INDEX: "1",
          BODYWORK_POD_ROOT: top,
          BODYWORK_TERMINATION_LOG: terminationLog,
          BODYWORK_STAGE_SPECIFICATION: JSON.stringify(spec),
          ...variables,
        },
        cwd: "/",
        ...(signal === undefined ? {} : { signal }),
        ...(onOutput === undefined ? {} : { onOutput }),
      };
      const args = [join(program, "start.sh"), spec.url, spec.stage, "--branch=main"];
      const result = await runCommand("/bin/sh", args, options);
      return resultOf(result, terminationLog);
    },
  };
}

function resultOf(result: CommandResult, terminationLog: string): PodResult {
  const text = existsSync(terminationLog) ? readFileSync(terminationLog, "utf8") : "";
  return {
    exitCode: result.exitCode,
    log: result.stdout + result.stderr,
    report: text === "" ? undefined : (JSON.parse(text) as PodReport),
  };
}

export function aSpecification(more: Partial<PodSpecification> = {}): PodSpecification {
  return {
    stage: "train",
    kind: "batch",
    url: "https://example.com/shop.git",
    branch: "main",
    commit: "0123456789abcdef0123456789abcdef01234567",
    module: "main.py",
    args: [],
    requirements: [],
    requirementsFile: undefined,
    python: undefined,
    timeoutSeconds: undefined,
    outputs: {},
    inputs: [],
    storage: undefined,
    storedSources: undefined,
    cacheIsShared: false,
    secretVariables: [],
    ...more,
  };
}

/** As a source's `archive` gives it. */
export async function archiveOf(files: Files): Promise<Buffer> {
  if (Object.keys(files).length === 0) return Buffer.alloc(0);
  const folder = temporaryFolder("commit");
  writeFiles(folder, files);
  const result = await runCommand(
    "tar",
    ["-czf", "-", "-C", folder, ...new Set(Object.keys(files).map(topOf))],
    {
      env: { PATH: process.env.PATH ?? "" },
    },
  );
  if (result.exitCode !== 0) throw new Error(result.stderr);
  return result.stdoutBytes;
}

function topOf(path: string): string {
  return path.split("/", 1)[0] as string;
}

export function putSources(folder: string, archive: Buffer): void {
  const part = Math.ceil(archive.length / 3);
  for (let index = 0; index < 3; index++) {
    const name = `part-${String(index).padStart(3, "0")}`;
    writeFileSync(join(folder, name), archive.subarray(index * part, (index + 1) * part));
  }
}

/** The machine's Pythons by version, wherever pyenv or the system has them. */
export function otherPythons(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const root = join(process.env.HOME ?? "/nonexistent", ".pyenv/versions");
  const versions = existsSync(root) ? readdirSync(root) : [];
  for (const minor of ["3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]) {
    const of = versions.filter((version) => version.startsWith(`${minor}.`));
    const candidates = [`/usr/bin/python${minor}`, ...of.map((one) => join(root, one, "bin/python3"))];
    const python = candidates.find((path) => existsSync(path));
    if (python !== undefined) found.set(minor, python);
  }
  return found;
}

/** A PATH on which `python3` is this one. */
export function pathWith(python: string): string {
  return [join(python, ".."), process.env.PATH ?? ""].join(delimiter);
}

let plain: Promise<string> | undefined;

/** A PATH whose `python3` is the true program, not a shim that takes its time. */
export function plainPath(): Promise<string> {
  plain ??= (async () => {
    const env = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "" };
    const result = await runCommand("python3", ["-c", "import sys; print(sys.executable)"], { env });
    return pathWith(result.stdout.trim());
  })();
  return plain;
}
