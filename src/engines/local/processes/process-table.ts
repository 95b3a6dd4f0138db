import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { currentBoot } from "../../../lib/current-boot.ts";
import { whenThere } from "../../../lib/read-if-there.ts";
import { commandOutputSync } from "../../../lib/spawn-detached.ts";

/** A process as the system tells of it. */
export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Clock ticks (100 a second) since boot on Linux; elsewhere some text. With the process id, not yet an identity. */
  readonly started: string;
}

/** A process by its id and start time. */
export type ProcessIdentity = Pick<ProcessInfo, "pid" | "started">;

/** The variable that every process of ours is started with, and hands on to those that it starts. */
export const nonceVariable = "BODYWORK_INSTANCE";

/** In the environment of what the shim starts for itself, to mask the log. */
export const maskerMark = "BODYWORK_SHIM_ROLE=masker";

/**
 * Whether a process that was started with this nonce is still there. Its id and start time alone don't tell: a quick
 * machine gives an id out again within one tick of that clock.
 */
export function isAlive(
  identity: ProcessIdentity,
  nonce: string,
  table: ProcessTable = processTable,
): boolean {
  return (
    table.find(identity.pid)?.started === identity.started && hasNonce(identity.pid, nonce, table) !== false
  );
}

export function hasNonce(pid: number, nonce: string, table: ProcessTable): boolean | undefined {
  return table.hasVariable(pid, `${nonceVariable}=${nonce}`);
}

/** The processes of this machine. Zombies are none: they run no more, and signals to them succeed without effect. */
export interface ProcessTable {
  find(pid: number): ProcessInfo | undefined;
  /** `above`: only those with higher process ids, which is cheaper. */
  all(above?: number): readonly ProcessInfo[];
  /** The living children of a process; undefined when the system keeps no list of them. */
  children(pid: number): readonly number[] | undefined;
  /** Whether the environment that a process was started with has this `NAME=value`; undefined where none is shown. */
  hasVariable(pid: number, assignment: string): boolean | undefined;
  /** The start of a process's arguments; undefined where they are not told. */
  command(pid: number): string | undefined;
  /** Names this boot of the machine; nothing that ran in another runs now. */
  readonly boot: string;
}

/** Reads /proc: about 15 µs a process. */
function linuxProcesses(): ProcessTable {
  const find = (pid: number): ProcessInfo | undefined => {
    const text = readSmall(`/proc/${pid}/stat`);
    return text === undefined ? undefined : parseStat(text);
  };
  return {
    find,
    all: (above = 0) =>
      readdirSync("/proc").flatMap((name) => {
        const pid = Number(name);
        return pid > above ? (find(pid) ?? []) : [];
      }),
    children(pid) {
      // Each thread has a list of those that it started.
      const threads = whenThere(() => readdirSync(`/proc/${pid}/task`)) ?? [];
      const lists = threads.map((thread) => readSmall(`/proc/${pid}/task/${thread}/children`));
      if (lists.includes(undefined) && find(pid) !== undefined) return undefined;
      return lists.flatMap((list) => (list ?? "").split(" ").filter(Boolean).map(Number));
    },
    hasVariable: (pid, assignment) => {
      const text = whenThere(() => readFileSync(`/proc/${pid}/environ`, "latin1")) ?? "";
      return text.startsWith(`${assignment}\0`) || text.includes(`\0${assignment}\0`);
    },
    command: (pid) => readSmall(`/proc/${pid}/cmdline`),
    boot: currentBoot(),
  };
}

/** The line of /proc/PID/stat, proc(5); undefined for a zombie, and for what is no such line. */
export function parseStat(text: string): ProcessInfo | undefined {
  // The name in parentheses may have spaces and parentheses of its own.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, parent, group, session] = fields;
  const started = fields[19];
  if (started === undefined || state === "Z" || state === "X") return undefined;
  return {
    pid: Number.parseInt(text, 10),
    parent: Number(parent),
    group: Number(group),
    session: Number(session),
    started,
  };
}

/** Where there is no /proc (macOS): sees groups and parents, and not the environments of processes. */
export function processesByPs(): ProcessTable {
  const all = (): readonly ProcessInfo[] =>
    commandOutputSync("ps", ["-axo", "pid=,ppid=,pgid=,stat=,lstart="])
      .split("\n")
      .flatMap((line) => {
        const [, pid, parent, group, state, started] =
          line.match(/^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.*\S)\s*$/) ?? [];
        if (started === undefined || state?.startsWith("Z")) return [];
        return [
          {
            pid: Number(pid),
            parent: Number(parent),
            group: Number(group),
            session: Number(group),
            started,
          },
        ];
      });
  return {
    find: (pid) => all().find((one) => one.pid === pid),
    all: (above = 0) => all().filter(({ pid }) => pid > above),
    children: () => undefined,
    hasVariable: () => undefined,
    command: () => undefined,
    boot: commandOutputSync("sysctl", ["-n", "kern.bootsessionuuid"]).trim(),
  };
}

const buffer = Buffer.allocUnsafe(4096);

/**
 * The start of a small file of /proc, without the cost of asking for its size. A process may end between two looks, and
 * another user's may not be looked into.
 */
function readSmall(path: string): string | undefined {
  return whenThere(() => {
    const file = openSync(path, "r");
    try {
      return buffer.toString("latin1", 0, readSync(file, buffer, 0, buffer.length, 0));
    } finally {
      closeSync(file);
    }
  });
}

export const processTable: ProcessTable = process.platform === "linux" ? linuxProcesses() : processesByPs();
