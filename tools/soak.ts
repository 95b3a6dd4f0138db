/**
 * `npm run soak [-- SEED]`: runs the tests that draw by chance at their full length, one at a time, and writes what came
 * of it to docs/soak.md, and from that to docs/reliability.md. They are those that use tests/support/soak.ts. Exits with 1
 * when anything failed.
 */

import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import ts from "typescript";
import { generate } from "./generators/reliability.ts";
import { runJob } from "./setup.mjs";

const root = dirname(import.meta.dirname);
const page = join(root, "docs", "soak.md");
const support = join("tests", "support", "soak.ts");

/** As much as we read of what vitest reports in Jest's format. Times are in milliseconds. */
interface Report {
  readonly startTime: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly {
      /** Of the groups that it is in. */
      readonly ancestorTitles: readonly string[];
      readonly title: string;
      readonly status: string;
      readonly duration?: number | null;
      readonly meta?: { readonly counted?: string };
    }[];
  }[];
}

process.exitCode = await main(process.argv.slice(2));

async function main([given]: readonly string[]): Promise<number> {
  const seed = given === undefined ? Math.floor(Math.random() * 1e9) : Number(given);
  if (!Number.isSafeInteger(seed) || seed < 0) {
    process.stderr.write("Usage: npm run soak [-- SEED], a whole number\n");
    return 2;
  }
  process.chdir(root);
  const files = globSync("tests/**/*.test.ts").filter(drawsByChance).sort();
  process.stdout.write(`Seed ${seed}, ${files.length} files\n`);
  const folder = mkdtempSync(join(tmpdir(), "soak-"));
  try {
    const json = join(folder, "report.json");
    const began = Date.now();
    const exitCode = await runJob(process.execPath, vitest(files, json), {
      ...process.env,
      BODYWORK_SOAK: String(seed),
    });
    if (!existsSync(json)) return exitCode || 1; // It was interrupted.
    const report = JSON.parse(readFileSync(json, "utf8")) as Report;
    writeFileSync(page, pageOf(report, { seed, milliseconds: Date.now() - began }));
    process.stdout.write(`Written: ${relative(root, page)}\n`);
    for (const [path, text] of await generate()) {
      writeFileSync(join(root, path), text);
      process.stdout.write(`Written: ${path}\n`);
    }
    return exitCode;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function drawsByChance(file: string): boolean {
  const { importedFiles } = ts.preProcessFile(readFileSync(file, "utf8"), true, true);
  return importedFiles.some(({ fileName }) => join(dirname(file), fileName) === support);
}

function vitest(files: readonly string[], json: string): readonly string[] {
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${json}`];
  return ["node_modules/vitest/vitest.mjs", "run", "--maxWorkers=1", ...reporters, ...files];
}

function pageOf(
  { startTime, testResults }: Report,
  { seed, milliseconds }: { readonly seed: number; readonly milliseconds: number },
): string {
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const failed = tests.filter(({ status }) => status === "failed").length;
  const day = new Date(startTime).toISOString().slice(0, 10);
  return `# The last soak

\`npm run soak\` writes this page. It runs the tests that draw by chance at their full length; the suite runs a sample of each.

| Date | Took | Seed | Node | Machine | Outcome |
| --- | --- | --- | --- | --- | --- |
| ${day} | ${durationOf(milliseconds)} | ${seed} | ${process.versions.node} | ${process.platform} ${process.arch}, ${availableParallelism()} cores | ${failed === 0 ? "all passed" : `${failed} of ${tests.length} failed`} |

The same again: \`npm run soak -- ${seed}\`.
${testResults.map(sectionOf).join("")}`;
}

function sectionOf({ name, assertionResults }: Report["testResults"][number]): string {
  const rows = assertionResults.map(
    ({ ancestorTitles, title, status, duration, meta }) =>
      `| ${cell([...ancestorTitles, title].join(" "))} | ${status} | ${durationOf(duration ?? 0)} | ${cell(meta?.counted ?? "")} |\n`,
  );
  return `
## ${relative(root, name)}

| Test | Outcome | Took | Counted |
| --- | --- | --- | --- |
${rows.join("")}`;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function durationOf(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
