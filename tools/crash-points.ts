/**
 * `npm run crash-points`: prints every step at which a deployment can be cut off by a crash of the server: each thing that
 * it does durably, or asks another process to do. They are what tests/stories/crash-points.test.ts has found on this
 * machine just now; it kills a server after some of them, and after each in `npm run soak`.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const root = dirname(import.meta.dirname);
const story = "tests/stories/crash-points.test.ts";

/** As much as we read of what vitest reports in Jest's format. */
interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly meta?: { readonly steps?: readonly string[] } }[];
  }[];
}

process.exitCode = main();

function main(): number {
  const folder = mkdtempSync(join(tmpdir(), "crash-points-"));
  try {
    const json = join(folder, "report.json");
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["node_modules/vitest/vitest.mjs", "run", "--reporter=json", `--outputFile.json=${json}`, story],
      { cwd: root, env: { ...process.env, BODYWORK_CRASH_POINTS: "list" }, encoding: "utf8" },
    );
    const steps = status === 0 ? stepsIn(JSON.parse(readFileSync(json, "utf8"))) : [];
    if (steps.length === 0) {
      process.stderr.write(`${stdout}${stderr}No steps were found: ${story} failed.\n`);
      return 1;
    }
    const width = String(steps.length).length;
    const lines = steps.map((step, index) => `${String(index + 1).padStart(width)}  ${step}\n`);
    process.stdout.write(lines.join(""));
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function stepsIn({ testResults }: Report): readonly string[] {
  return testResults.flatMap(({ assertionResults }) =>
    assertionResults.flatMap(({ meta }) => meta?.steps ?? []),
  );
}
