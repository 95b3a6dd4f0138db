/**
 * `npm run bench [NAME…]`: measures against the bare floor, in one run, as ratios and differences. Prints a table; with
 * `--write` it also becomes docs/benchmarks.md's table of the day. Exits with 0 also when a goal is not met: the table says so.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { runJob } from "../tools/setup.mjs";
import { type BenchRow, meetsGoal } from "./row.ts";

const root = dirname(import.meta.dirname);
const benches: Readonly<Record<string, () => Promise<{ run(): Promise<readonly BenchRow[]> }>>> = {
  command: () => import("./command.ts"),
  stages: () => import("./stages.ts"),
  environments: () => import("./environments.ts"),
  source: () => import("./source.ts"),
  "start-up-hook": () => import("./start-up-hook.ts"),
  redeploy: () => import("./redeploy.ts"),
  ingress: () => import("./ingress.ts"),
  cronjobs: () => import("./cronjobs.ts"),
  peers: () => import("./peers.ts"),
  kubernetes: () => import("./kubernetes.ts"),
};
/** It needs a cluster, and takes minutes. */
const onlyByName = ["kubernetes"];

const wanted = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const names = Object.keys(benches).filter((name) =>
  wanted.length === 0 ? !onlyByName.includes(name) : wanted.includes(name),
);
if (names.length < Math.max(1, wanted.length)) {
  process.stderr.write(`No such benchmark; there are: ${Object.keys(benches).join(", ")}\n`);
  process.exit(2);
}
if ((await runJob(process.execPath, [join(root, "tools", "build.ts")], process.env)) !== 0) process.exit(1);

const rows: BenchRow[] = [];
for (const name of names) {
  process.stderr.write(`── ${name}\n`);
  const bench = await benches[name]?.();
  for (const row of (await bench?.run()) ?? []) {
    rows.push(row);
    process.stdout.write(`${line(row)}\n`);
  }
}
if (process.argv.includes("--write")) writePage(rows);

function line(row: BenchRow): string {
  const verdict = row.goal === undefined ? "" : `  (${row.goal}: ${meetsGoal(row) ? "met" : "NOT MET"})`;
  return `${row.name}: ${figure(row)}${verdict}${row.note === undefined ? "" : `  — ${row.note}`}`;
}

function figure({ value, unit }: BenchRow): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return unit === "ratio" ? value.toFixed(2) : `${value.toFixed(digits)} ${unit}`;
}

function writePage(all: readonly BenchRow[]): void {
  const path = join(root, "docs", "benchmarks.md");
  const [head = "", , tail = ""] = readFileSync(path, "utf8").split(/<!-- (?:begin|end) -->\n/);
  const day = new Date().toISOString().slice(0, 10);
  const table = [
    `Measured on ${day}, on ${cpus().length} cores, with Node ${process.versions.node}.`,
    "",
    "| | measured | goal | | |",
    "|---|---|---|---|---|",
    ...all.map((row) => {
      const verdict = row.goal === undefined ? "" : meetsGoal(row) ? "met" : "**not met**";
      return `| ${row.name} | ${figure(row)} | ${row.goal ?? ""} | ${verdict} | ${row.note ?? ""} |`;
    }),
    "",
  ].join("\n");
  writeFileSync(path, `${head}<!-- begin -->\n${table}<!-- end -->\n${tail}`);
}
