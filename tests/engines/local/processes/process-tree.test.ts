import { expect, test } from "vitest";

import {
  isAlive,
  type ProcessInfo,
  type ProcessTable,
  parseStat,
  processesByPs,
  processTable,
} from "../../../../src/engines/local/processes/process-table.ts";
import { descendants, type Tree, treeMembers } from "../../../../src/engines/local/processes/process-tree.ts";
import { createBench, until } from "./support.ts";

const shim = { pid: 100, started: "5000" };
const tree: Tree = { shim, nonce: "ours", memoryGroup: undefined, shimEnded: undefined };

/** A machine with these processes; `nonces` says who bears one. */
function machine(processes: readonly Partial<ProcessInfo>[], nonces: Record<number, string>): ProcessTable {
  const all = processes.map(
    (one): ProcessInfo => ({ pid: 1, parent: 1, group: 1, session: 1, started: "9000", ...one }),
  );
  return {
    find: (pid) => all.find((one) => one.pid === pid),
    all: () => all,
    children: (pid) => all.filter(({ parent }) => parent === pid).map((one) => one.pid),
    hasVariable: (pid, assignment) => assignment === `BODYWORK_INSTANCE=${nonces[pid]}`,
    command: () => undefined,
    boot: "boot",
  };
}

const members = (table: ProcessTable, more: Partial<Tree> = {}): readonly number[] =>
  treeMembers({ ...tree, ...more }, table).map(({ pid }) => pid);

test("a stranger with the shim's process id and start tick is not the shim, nor is its session ours", () => {
  const stranger = [
    { pid: 100, started: "5000", session: 100, group: 100 },
    { pid: 101, parent: 100, session: 100, group: 100, started: "5001" },
  ];
  const theirs = machine(stranger, { 100: "theirs", 101: "theirs" });
  expect(isAlive(shim, "ours", theirs)).toBe(false);
  expect(members(theirs)).toEqual([]);
  expect(members(theirs, { shimEnded: 4999 })).toEqual([]);
  expect(descendants(tree, theirs)).toEqual([]);
  // Process id and start time alone would have it for ours.
  const ours = machine(stranger, { 100: "ours" });
  expect(isAlive(shim, "ours", ours)).toBe(true);
  expect(members(ours)).toEqual([101]);
  expect(descendants(tree, ours)).toEqual([101]);
});

test("a later session with the number of ours is a stranger's, and what was in ours before is not", () => {
  const table = machine(
    [
      { pid: 200, session: 100, group: 200, started: "5500" },
      { pid: 300, session: 100, group: 100, started: "7000" },
    ],
    {},
  );
  expect(members(table, { shimEnded: 6000 })).toEqual([200]);
  expect(members(table)).toEqual([]);
});

test("a process that bears the nonce is ours wherever it is, unless it is older than its shim", () => {
  const table = machine([{ pid: 400 }, { pid: 401, started: "10" }, { pid: 402 }], {
    400: "ours",
    401: "ours",
    402: "theirs",
  });
  expect(members(table)).toEqual([400]);
});

test("a process may have any name", () => {
  const line = "42 (a) S (b) R 7 40 41 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 1";
  expect(parseStat(line)).toEqual({ pid: 42, parent: 7, group: 40, session: 41, started: "12345" });
});

test("a zombie does not run", () => {
  expect(parseStat("42 (x) Z 7 40 41 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 1")).toBeUndefined();
});

test("ps and /proc tell the same parents and groups", async ({ skip }) => {
  skip(process.platform !== "linux", "/proc is Linux's");
  const { script } = await createBench();
  const running = await script("sleep 300 & sleep 300");
  await until(() => running.pids().length >= 3);
  const byPs = processesByPs();
  for (const pid of running.pids()) {
    const { parent, group } = processTable.find(pid) as ProcessInfo;
    expect(byPs.find(pid)).toMatchObject({ parent, group });
  }
  const top = processTable.find(running.identity.pid)?.parent as number;
  const found = { shim: { pid: top, started: byPs.find(top)?.started as string }, nonce: "" };
  expect([...descendants(found, byPs)].sort()).toEqual([...running.pids()].sort());
  await running.stop({ graceMs: 1000 });
});
