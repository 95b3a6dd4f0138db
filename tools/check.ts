/**
 * `npm run check`: everything a change must satisfy. All of it is run, also after a failure, so that one run shows all
 * that is wrong. With names of steps as arguments, only those.
 */

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { runJob } from "./setup.mjs";

const root = dirname(import.meta.dirname);

const steps: Readonly<Record<string, readonly string[]>> = {
  types: ["node_modules/typescript/bin/tsc", "--noEmit"],
  "lint and format": ["node_modules/@biomejs/biome/bin/biome", "ci", "--error-on-warnings"],
  "dead code": ["node_modules/knip/bin/knip.js"],
  "generated files": ["tools/generate.ts", "--check"],
  tests: ["node_modules/vitest/vitest.mjs", "run"],
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in steps));
if (unknown.length > 0) {
  process.stderr.write(`No such check: ${unknown.join(", ")}; there are: ${Object.keys(steps).join(", ")}\n`);
  process.exit(2);
}

process.chdir(root);
const failed: string[] = [];
for (const [name, command] of Object.entries(steps)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  process.stdout.write(`── ${name}\n`);
  const [program = ""] = command;
  if (!existsSync(join(root, program))) throw new Error(`${program} is not there`);
  if ((await runJob(process.execPath, command, process.env)) !== 0) failed.push(name);
}
process.stdout.write(failed.length === 0 ? "All checks passed.\n" : `Failed: ${failed.join(", ")}.\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
