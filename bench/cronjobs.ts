import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Job } from "../src/core/job-state.ts";
import { openReader, openStore } from "../src/store/sqlite-store.ts";
import { aCronjob } from "../tests/support/cronjobs.ts";
import { batch, projectFile } from "../tests/support/pipelines.ts";
import type { BenchRow } from "./row.ts";
import { type BenchTool, benchTool } from "./tool.ts";

const cronjobs = 500;
/** Milliseconds before the minute in which the server starts. */
const ahead = 10_000;

/** The real server with 500 cronjobs that are all due at one minute: how late their runs are asked for. */
export async function run(): Promise<readonly BenchRow[]> {
  const tool = benchTool();
  try {
    const url = await tool.project("cron", {
      "bodywork.yaml": projectFile({ name: "cron", dag: "train", stages: { train: batch() } }),
      "train.py": "",
    });
    const dueAt = new Date(Math.ceil((Date.now() + ahead) / 60_000) * 60_000);
    addCronjobs(tool, url, dueAt);
    await sleep(dueAt.getTime() - ahead - Date.now());
    await tool.bodywork("server", "start");
    const { jobs, lastRun } = await whenAllHaveRuns(tool, dueAt);
    const late = jobs
      .map(({ startedAt = "" }) => Date.parse(startedAt) - dueAt.getTime())
      .toSorted((a, b) => a - b);
    const share = (part: number): number => late[Math.ceil(cronjobs * part) - 1] ?? Number.POSITIVE_INFINITY;
    return [
      {
        name: `lateness of ${cronjobs} cronjobs due at one minute, p99`,
        value: share(0.99),
        unit: "ms",
        goal: "≤ 1000",
        note: `p50 ${share(0.5)} ms; the last run was on record after ${Math.round(lastRun)} ms`,
      },
    ];
  } finally {
    await tool.remove();
  }
}

/** Straight into the store, before there is a server: 500 commands would take minutes. */
function addCronjobs(tool: BenchTool, url: string, dueAt: Date): void {
  const store = openStore(join(tool.home, "store.db"));
  const now = new Date().toISOString();
  const schedule = `${dueAt.getUTCMinutes()} ${dueAt.getUTCHours()} * * *`;
  const decisions = Array.from({ length: cronjobs }, (_, index) => {
    const name = `cron-${index}`;
    const request = { ...aCronjob().request, url };
    return { cronjob: aCronjob({ name, schedule, request, decidedUntil: now }), jobs: [] };
  });
  store.decideDueTimes(decisions);
  store.close();
}

/** `lastRun`: milliseconds after the due time at which the last of them was on record. */
async function whenAllHaveRuns(
  tool: BenchTool,
  dueAt: Date,
): Promise<{ readonly jobs: readonly Job[]; readonly lastRun: number }> {
  const deadline = dueAt.getTime() + 120_000;
  while (Date.now() < deadline) {
    await sleep(Math.max(250, dueAt.getTime() + 1_000 - Date.now()));
    const store = openReader(join(tool.home, "store.db"));
    const jobs = store?.jobs({}).filter(({ startedAt }) => startedAt !== undefined) ?? [];
    const runs = store?.runs({ limit: cronjobs }) ?? [];
    store?.close();
    const ids = new Set(runs.map(({ id }) => id));
    // The runs of those that have ended may have been swept.
    const ran = jobs.filter((job) => job.endedAt !== undefined || ids.has(job.runs[0] ?? ""));
    const created = runs.map(({ createdAt }) => Date.parse(createdAt) - dueAt.getTime());
    if (ran.length === cronjobs) return { jobs, lastRun: Math.max(...created) };
  }
  throw new Error(`Not all of ${cronjobs} cronjobs had a run within two minutes`);
}
