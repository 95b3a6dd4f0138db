import { constants } from "node:os";

import { numberAt, textAt } from "../client/objects.ts";
import type { PodReport } from "../pod/pod-contract.ts";

/** How a container ended, in the words of an Attempt's reason. */
export interface Exit {
  /** Undefined when there is none. */
  readonly code: number | undefined;
  /** True when nobody saw how it ended. */
  readonly lost?: true;
  /** `exit 3`, `SIGKILL`, `out of memory (limit 100 MiB)`, `timed out after 60 s`. */
  readonly reason: string;
}

/**
 * Of a container's `state.terminated`.
 * @param memoryLimit as the pod's spec has it: `100Mi`
 */
export function exitOf(terminated: unknown, memoryLimit: string | undefined): Exit {
  const code = numberAt(terminated, "exitCode");
  const reason = textAt(terminated, "reason") ?? "";
  if (code === 0) return { code, reason: "exit 0" };
  // Also when only a process below the first one was ended: that is what the other ends came from.
  if (reason === "OOMKilled") return { code, reason: outOfMemory(memoryLimit) };
  if (notStarted.has(reason)) {
    return { code, reason: `its container cannot start: ${textAt(terminated, "message") ?? reason}` };
  }
  const report = reportOf(terminated);
  if (report?.reason !== undefined) return { code, reason: report.reason };
  if (reason === "ContainerStatusUnknown") {
    return { code: undefined, lost: true, reason: "its node lost track of it" };
  }
  return { code, reason: codeInWords(code, numberAt(terminated, "signal")) };
}

/** What the program in the pod has left as its last message; undefined when that is something else. */
export function reportOf(terminated: unknown): PodReport | undefined {
  const message = textAt(terminated, "message");
  if (message === undefined) return undefined;
  try {
    const report = JSON.parse(message) as Partial<PodReport> | null;
    const isReport = report?.status === "succeeded" || report?.status === "failed";
    return isReport ? (report as PodReport) : undefined;
  } catch {
    return undefined;
  }
}

/** The runtime could not start the command at all. */
const notStarted: ReadonlySet<string> = new Set(["StartError", "ContainerCannotRun", "RunContainerError"]);

function outOfMemory(limit: string | undefined): string {
  if (limit === undefined) return "out of memory (of its node: the stage has no limit)";
  const mebibytes = /^(\d+)Mi$/.exec(limit)?.[1];
  return `out of memory (limit ${mebibytes === undefined ? limit : `${mebibytes} MiB`})`;
}

/** Codes above 128 are, by convention, 128 plus the number of the signal. */
function codeInWords(code: number | undefined, signal: number | undefined): string {
  const number =
    signal !== undefined && signal > 0 ? signal : code !== undefined && code > 128 ? code - 128 : undefined;
  const name = Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
  return name ?? (code === undefined ? "ended, and nobody knows how" : `exit ${code}`);
}
