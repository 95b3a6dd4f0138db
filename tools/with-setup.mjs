/**
 * `node tools/with-setup.mjs JOB [ARGUMENT…]`: sets up what is missing, then does one of the jobs of this checkout with
 * the right Node. `npm start`, `npm test` and their like come here. Runs on Node 20.
 */

import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Interrupted, SetupProblem } from "./problems.mjs";
import { exitCodeOf } from "./programs.mjs";
import { makeFolder } from "./provide-folder.mjs";
import { cacheFolder, isolated, runJob, setUp, withTools } from "./setup.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Job → the command it is, as arguments of Node. `run` does any program of this checkout. */
const jobs = /** @type {Readonly<Record<string, readonly string[]>>} */ ({
  setup: [],
  start: ["tools/start.ts"],
  test: ["node_modules/vitest/vitest.mjs", "run"],
  "test-kubernetes": ["tests/cluster/tools/run-tests.ts"],
  check: ["tools/check.ts"],
  build: ["tools/build.ts"],
  run: [],
});

process.exitCode = await main(process.argv.slice(2)).catch((error) => {
  if (error instanceof Interrupted) return exitCodeOf(error.signal);
  if (!(error instanceof SetupProblem)) throw error;
  process.stderr.write(`Set-up failed: ${error.message}\n`);
  return 1;
});

/** @param {readonly string[]} argv */
async function main([job = "", ...args]) {
  const command = jobs[job];
  if (command === undefined) {
    process.stderr.write(`Usage: node tools/with-setup.mjs ${Object.keys(jobs).join("|")} [ARGUMENT…]\n`);
    return 2;
  }
  const tell = (/** @type {string} */ line) => process.stderr.write(`Set-up: ${line}\n`);
  const tools = await setUp({ root, env: process.env, tell });
  if (job === "setup") return 0;
  const home = job === "start" ? lastingHome() : mkdtempSync(join(tmpdir(), `bodywork-${job}-`));
  process.chdir(root);
  try {
    return await runJob(tools.node, [...command, ...args], withTools(isolated(process.env, home), tools));
  } finally {
    if (job !== "start") rmSync(home, { recursive: true, force: true });
  }
}

/** The example goes on serving after `npm start` has ended, and the next one finds it: its home stays. */
function lastingHome() {
  const checkout = createHash("sha256").update(root).digest("hex").slice(0, 8);
  const home = join(cacheFolder(process.env), "homes", `start-${checkout}`);
  makeFolder(home);
  return home;
}
