/**
 * Preloaded into a real server (`node --import`): counts everything that it does durably or asks another process to do,
 * and kills the server after the n-th. It counts from SIGUSR2 on, so that starting up is not counted.
 *
 *   CRASH_AFTER   n, from 1; 0 kills nothing
 *   CRASH_STEPS   file that gets one line for each step
 */

import childProcess from "node:child_process";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { basename } from "node:path";
import { DatabaseSync, StatementSync } from "node:sqlite";

const crashAfter = Number(process.env.CRASH_AFTER);
const stepsFile = process.env.CRASH_STEPS ?? "";
const append = fs.appendFileSync;
let counting = false;
let steps = 0;

process.on("SIGUSR2", () => {
  counting = true;
  append(stepsFile, "counting\n");
});

type Method = (this: never, ...args: never[]) => unknown;

/** What is asked for with a promise counts when it has been asked for. */
function countCalls<Name extends string>(
  of: Record<Name, unknown>,
  name: Name,
  describe: (self: unknown, args: readonly unknown[]) => string | undefined,
): void {
  const original = of[name] as Method;
  of[name] = function (this: never, ...args: never[]) {
    const result = original.apply(this, args);
    const step = describe(this, args);
    if (step !== undefined) count(step);
    return result;
  };
}

function count(step: string): void {
  if (!counting) return;
  steps += 1;
  append(stepsFile, `${step}\n`);
  if (steps === crashAfter) process.kill(process.pid, "SIGKILL");
}

const firstWords = (sql: unknown): string =>
  /^(INSERT OR REPLACE INTO|INSERT INTO|DELETE FROM|UPDATE|BEGIN|\w+) ?\w*/.exec(String(sql).trim())?.[0] ??
  "";
/** `INSERT INTO runs: running`: what the record that is written says of itself. */
const described = (sql: unknown, values: readonly unknown[]): string => {
  const record = values.find((value) => typeof value === "string" && value.startsWith('{"'));
  const { status, state, stage, node } = record === undefined ? {} : JSON.parse(record as string);
  const words = [node ?? stage, status ?? state].filter((word) => word !== undefined);
  return [firstWords(sql), ...(words.length > 0 ? [words.join(" ")] : [])].join(": ");
};
const path = (_: unknown, args: readonly unknown[]): string => basename(String(args.at(-1)));

countCalls(StatementSync.prototype, "run", (self, values) =>
  described((self as StatementSync).sourceSQL, values),
);
countCalls(DatabaseSync.prototype, "exec", (_, [sql]) => firstWords(sql));
countCalls(childProcess, "spawn", (_, [file]) => `spawn ${basename(String(file))}`);
const { fork } = childProcess;
childProcess.fork = ((...args: Parameters<typeof fork>) => {
  const child = fork(...args);
  // Each child with a channel has a method of its own.
  countCalls(child, "send", (_, [order]) => `order ${(order as { kind?: string }).kind}`);
  return child;
}) as typeof fork;
countCalls(fs, "renameSync", (...call) => `rename ${path(...call)}`);
countCalls(fs, "linkSync", (...call) => `link ${path(...call)}`);
countCalls(fs, "openSync", (_, [file, flags]) =>
  String(flags).startsWith("wx") ? `create ${basename(String(file))}` : undefined,
);
countCalls(fs, "rmSync", (_, [file]) => `remove ${basename(String(file))}`);
countCalls(fs.promises, "rename", (...call) => `rename ${path(...call)}`);
countCalls(fs.promises, "rm", (_, [file]) => `remove ${basename(String(file))}`);
countCalls(fs.promises, "mkdir", (_, [file]) => `make ${basename(String(file))}`);
syncBuiltinESMExports();
