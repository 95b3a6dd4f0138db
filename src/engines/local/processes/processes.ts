import { randomBytes } from "node:crypto";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { Failure } from "../../../core/failure.ts";
import { hasCode } from "../../../lib/has-code.ts";
import { defaultLogCap } from "./cap-log.ts";
import { createMemoryGroup, findMemoryPlace, removeMemoryGroup } from "./memory-groups.ts";
import {
  claimFile,
  giveUp,
  type Intent,
  readClaim,
  readExit,
  readIntent,
  removeIntent,
  replaceIntent,
  writeIntent,
} from "./process-folder.ts";
import { type ProcessSecrets, withSecrets } from "./process-secrets.ts";
import { nonceVariable, type ProcessIdentity, processTable } from "./process-table.ts";
import { claimant, endedProcess, type Watched, watchProcess } from "./running-process.ts";
import { createSpawner, type Spawner, SpawnerDied } from "./spawner-client.ts";

/** A program to run. */
export interface ProcessSpec {
  /** Of its own; what is kept of the process is there, its log as `log`. */
  readonly folder: string;
  /** Random; in its environment as BODYWORK_INSTANCE, and in that of all that it starts. */
  readonly nonce: string;
  /** Program and arguments; no shell reads them. */
  readonly command: readonly string[];
  readonly cwd: string;
  /** All of its environment but the secrets. */
  readonly env: Readonly<Record<string, string>>;
  readonly secrets?: ProcessSecrets;
  /** Mebibytes of all its processes together, swap included; ignored unless `memoryLimitEnforced`. */
  readonly memoryLimitMb?: number;
  /** Goes before the command. */
  readonly prefix?: readonly string[];
}

export interface RunningProcess {
  readonly identity: {
    readonly pid: number;
    /** With `pid`, `boot` and `nonce` nobody else's. */
    readonly started: string;
    readonly boot: string;
    readonly nonce: string;
  };
  readonly startedAt: Date;
  readonly logFile: string;
  /** Settles when the program and all that it had started have ended. */
  readonly exited: Promise<ProcessExit>;
  /** The program's processes, as far as they are known now. */
  pids(): number[];
  /** SIGTERM to all of them, after `graceMs` milliseconds SIGKILL, until none is left. */
  stop(options: { readonly graceMs: number }): Promise<ProcessExit>;
}

export type ProcessExit =
  /** 126 when the working folder or the program can't be used, 127 when there is no such program; the log says so. */
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: string }
  | { readonly kind: "out-of-memory"; readonly limitMb: number | undefined }
  /** Its shim was killed, or the machine restarted: nobody knows how it ended. */
  | { readonly kind: "lost" };

/** Programs that go on when we end, and are found again. */
export interface Processes {
  /** Throws when the folder has a process already, or none can be started. */
  start(spec: ProcessSpec): Promise<RunningProcess>;
  /** What runs or ran there; undefined when nothing ever did, and then nothing that was on its way ever will. */
  adopt(folder: string): Promise<RunningProcess | undefined>;
  /** The folders below `root` whose processes run now, whoever has started them; none where no arguments are told. */
  runningBelow(root: string): readonly string[];
  /** Whether this machine lets us limit memory. */
  readonly memoryLimitEnforced: boolean;
  /** Lets go of the helper process; what it has started runs on. */
  close(): void;
}

export interface ProcessesOptions {
  /** For the files of the helper process. */
  readonly stateFolder: string;
  /** What a log may grow to; 64 MiB by default. */
  readonly logCapBytes?: number;
  /** Of the programs; this process's own by default. */
  readonly umask?: number;
}

const shimProgram = fileURLToPath(new URL("./shim.sh", import.meta.url));
/** How often a start is tried when the helper is killed each time. */
const mostTries = 3;

export async function createProcesses(options: ProcessesOptions): Promise<Processes> {
  const spawner = createSpawner(resolve(options.stateFolder), options.logCapBytes ?? defaultLogCap);
  const memoryPlace = await findMemoryPlace();
  const known = new Map<string, RunningProcess>();

  const watchKnown = (watched: Omit<Watched, "onEnd">): RunningProcess => {
    const { folder } = watched;
    const onEnd = (): void => {
      known.delete(folder);
      spawner.forgetLog(folder);
    };
    const running = watchProcess({ ...watched, onEnd });
    known.set(folder, running);
    return running;
  };

  const adopt = async (folder: string): Promise<RunningProcess | undefined> => {
    const intent = readIntent(folder);
    if (intent === undefined || giveUp(folder, intent)) return forget(folder, intent);
    const shim = await claimant(folder, intent);
    if (shim === undefined) return forget(folder, intent);
    if (intent.boot !== processTable.boot) return endedProcess(folder, intent);
    const found = known.get(folder);
    if (found !== undefined) return found;
    if (readExit(folder) === undefined) spawner.keepLog(folder);
    return watchKnown({ folder, intent, shim, ended: undefined });
  };

  return {
    async start(spec) {
      const folder = resolve(spec.folder);
      const intent = intend(folder, spec, memoryPlace);
      try {
        return watchKnown({ folder, ...(await spawnShim(folder, spec, intent, spawner, options.umask)) });
      } catch (error) {
        await forget(folder, intent);
        const reason = error instanceof Error ? error.message : String(error);
        throw new Failure("engine-unavailable", `Cannot start ${spec.command[0]}: ${reason}`, {
          hint: "The machine may be out of processes, memory or disk space.",
          cause: error,
        });
      }
    },
    adopt: (folder) => adopt(resolve(folder)),
    runningBelow: (root) =>
      processTable.all().flatMap(({ pid }) => folderOfShim(processTable.command(pid), resolve(root)) ?? []),
    memoryLimitEnforced: memoryPlace !== undefined,
    close: () => spawner.close(),
  };
}

/** Writes down what is to be done before anything is. */
function intend(folder: string, spec: ProcessSpec, memoryPlace: string | undefined): Intent {
  const { memoryLimitMb } = spec;
  const intent: Intent = {
    nonce: spec.nonce,
    token: newToken(),
    boot: processTable.boot,
    at: new Date().toISOString(),
    ...(memoryPlace === undefined || memoryLimitMb === undefined
      ? {}
      : { memoryGroup: join(memoryPlace, `bodywork-${spec.nonce}`), memoryLimitMb }),
  };
  try {
    writeIntent(folder, intent);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
    throw new Failure(
      "internal",
      `Cannot start ${spec.command[0]} in ${folder}: a process was started there.`,
    );
  }
  return intent;
}

interface Spawned {
  readonly intent: Intent;
  readonly shim: ProcessIdentity;
  readonly ended: Promise<void> | undefined;
}

/** Tries again when the helper is killed meanwhile, once it is certain that the shim it may have started does nothing. */
async function spawnShim(
  folder: string,
  spec: ProcessSpec,
  first: Intent,
  spawner: Spawner,
  umask: number | undefined,
): Promise<Spawned> {
  if (first.memoryGroup !== undefined) createMemoryGroup(first.memoryGroup, first.memoryLimitMb as number);
  const { variables, prefix } = withSecrets(spec.env, spec.secrets);
  const env = { ...variables, [nonceVariable]: spec.nonce };
  const command = [...(spec.prefix ?? []), ...prefix, ...spec.command];
  for (let intent = first, tries = 1; ; tries++) {
    try {
      const { pid, ended } = await spawner.start(
        folder,
        [...shimArguments(folder, spec.cwd, intent, umask), ...command],
        env,
      );
      const claim = readClaim(folder, intent);
      const started = typeof claim === "object" ? claim.started : (processTable.find(pid)?.started ?? "");
      return { intent, shim: { pid, started }, ended };
    } catch (error) {
      const shim = giveUp(folder, intent) ? undefined : await claimant(folder, intent);
      if (shim !== undefined) return { intent, shim, ended: undefined };
      if (!(error instanceof SpawnerDied) || tries === mostTries) throw error;
      intent = { ...intent, token: newToken() };
      replaceIntent(folder, intent);
    }
  }
}

function shimArguments(
  folder: string,
  cwd: string,
  intent: Intent,
  umask: number | undefined,
): readonly string[] {
  const group = intent.memoryGroup ?? "";
  const octal = umask === undefined ? "" : `0${umask.toString(8)}`;
  return [shimProgram, claimFile(folder, intent), group, octal, cwd];
}

/** What a shim's arguments tell: its claim is in the folder of its process. */
function folderOfShim(command: string | undefined, root: string): string | undefined {
  const [, program, claim = ""] = command?.split("\0") ?? [];
  if (!program?.endsWith("/shim.sh") || !claim.startsWith(`${root}/`)) return undefined;
  return dirname(claim);
}

/** Nothing runs under the intent, and nothing will: the folder is as if nobody had asked. */
async function forget(folder: string, intent: Intent | undefined): Promise<undefined> {
  if (intent?.memoryGroup !== undefined) await removeMemoryGroup(intent.memoryGroup);
  removeIntent(folder);
}

function newToken(): string {
  return randomBytes(8).toString("hex");
}
