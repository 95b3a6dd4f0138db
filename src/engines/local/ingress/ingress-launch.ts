import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { Failure } from "../../../core/failure.ts";
import { textIfThere } from "../../../lib/read-if-there.ts";
import { spawnDetached } from "../../../lib/spawn-detached.ts";
import {
  askControl,
  type ControlReply,
  type ControlRequest,
  controlPath,
  type IngressProgram,
} from "./control.ts";
import { isOf, readStateFile } from "./ingress-state.ts";

/** Milliseconds that an ingress has to start, to answer, and to end. */
const answerTime = 15_000;
const pollTime = 15;

/** Finds the ingress of the folder; starts it when there is none, replaces it when it is of another version. */
export async function ensureRunning(folder: string, program: IngressProgram, version: string): Promise<void> {
  if (isHeld(folder)) {
    const hello = await ask(folder, { do: "hello" });
    if (hello.kind === "hello" && hello.version === version) return;
    const reply = await ask(folder, { do: "replace", program });
    if (reply.kind === "error")
      throw silent(folder, "The ingress could not be replaced by this version", reply.message);
    await untilAnswers(folder, version, () => isHeld(folder));
    return;
  }
  await sendOrphanAway(folder);
  const holder = await startHolder(folder, program);
  try {
    await untilAnswers(folder, version, () => isOf(holder, folder));
  } catch (error) {
    // It would try for ever, and nobody would know of it.
    if (isOf(holder, folder)) process.kill(holder, "SIGTERM");
    throw error;
  }
}

/** True when the holder of this folder runs; its ingress does, or is about to. */
export function isHeld(folder: string): boolean {
  const state = readStateFile(folder);
  return state !== undefined && isOf(state.holder, folder);
}

/** True when requests are answered, also by an ingress that has lost its holder. */
export function isRunning(folder: string): boolean {
  const state = readStateFile(folder);
  return state !== undefined && (isOf(state.holder, folder) || isOf(state.ingress, folder));
}

/** Asks the ingress, waiting for one that is just being started again. */
export async function ask(folder: string, request: ControlRequest): Promise<ControlReply> {
  const deadline = performance.now() + answerTime;
  for (;;) {
    try {
      return await askControl(controlPath(folder), request, answerTime);
    } catch (error) {
      if (performance.now() > deadline) throw silent(folder, "The ingress does not answer", error);
      await sleep(pollTime);
    }
  }
}

export async function endProcesses(folder: string): Promise<void> {
  const state = readStateFile(folder);
  if (state === undefined) return;
  const alive = (): readonly number[] => [state.holder, state.ingress].filter((pid) => isOf(pid, folder));
  // The holder ends its ingress; one that has lost its holder is ended itself.
  const [first] = alive();
  if (first !== undefined) process.kill(first, "SIGTERM");
  for (const deadline = performance.now() + answerTime; alive().length > 0; await sleep(pollTime)) {
    if (performance.now() > deadline) throw silent(folder, "The ingress does not end", undefined);
  }
}

/** It closes its sockets at once, so that the next holder can open them, and ends when it has answered. */
async function sendOrphanAway(folder: string): Promise<void> {
  const state = readStateFile(folder);
  if (state === undefined || !isOf(state.ingress, folder)) return;
  try {
    await askControl(state.control, { do: "leave" }, answerTime);
  } catch {
    process.kill(state.ingress, "SIGKILL");
  }
}

async function startHolder(folder: string, program: IngressProgram): Promise<number> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const holder = fileURLToPath(new URL("./ingress-holder.ts", import.meta.url));
  return spawnDetached({
    file: program.node,
    args: [holder, folder, JSON.stringify(program)],
    env: {},
    cwd: folder,
    logFile: logPath(folder),
  });
}

/** The one of this version: until then another may still answer. */
async function untilAnswers(folder: string, version: string, holderRuns: () => boolean): Promise<void> {
  const deadline = performance.now() + answerTime;
  for (;;) {
    const hello = await askControl(controlPath(folder), { do: "hello" }, answerTime).catch(() => undefined);
    if (hello?.kind === "hello" && hello.version === version) return;
    if (!holderRuns() || performance.now() > deadline)
      throw silent(folder, "The ingress does not start", undefined);
    await sleep(pollTime);
  }
}

function silent(folder: string, what: string, cause: unknown): Failure {
  return new Failure("internal", `${what}.`, {
    hint: `Its log: ${logPath(folder)}`,
    details: lastLines(logPath(folder)),
    cause,
  });
}

function logPath(folder: string): string {
  return join(folder, "ingress.log");
}

function lastLines(file: string): readonly string[] {
  return textIfThere(file)?.trim().split("\n").slice(-15) ?? [];
}
