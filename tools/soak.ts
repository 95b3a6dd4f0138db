/**
 * `npm run soak [-- [SEED] [FILE...]]`: runs the tests that draw by chance at their full length, one at a time, and writes
 * what came of it to docs/soak.md, and from that to docs/reliability.md. They are those that use tests/support/soak.ts. With
 * files, only these are run, and what the page says of the others stays. Exits with 1 when anything failed.
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

async function main(args: readonly string[]): Promise<number> {
  const [first] = args;
  const given = first !== undefined && /^\d+$/.test(first) ? Number(first) : undefined;
  const seed = given ?? Math.floor(Math.random() * 1e9);
  const wanted = given === undefined ? args : args.slice(1);
  process.chdir(root);
  const all = globSync("tests/**/*.test.ts").filter(drawsByChance).sort();
  const unknown = wanted.filter((file) => !all.includes(file));
  if (unknown.length > 0) {
    process.stderr.write(`Usage: npm run soak [-- [SEED] [FILE...]]; the files:\n${all.join("\n")}\n`);
    return 2;
  }
  const files = wanted.length === 0 ? all : wanted;
  process.stdout.write(`Seed ${seed}, ${files.length} files\n`);
  const folder = mkdtempSync(join(tmpdir(), "soak-"));
  try {
    const json = join(folder, "report.json");
    const exitCode = await runJob(process.execPath, vitest(files, json), {
      ...process.env,
      BODYWORK_SOAK: String(seed),
    });
    if (!existsSync(json)) return exitCode || 1; // It was interrupted.
    const report = JSON.parse(readFileSync(json, "utf8")) as Report;
    const kept = [...sectionsOf(readFileSync(page, "utf8"))].filter(
      ([file]) => all.includes(file) && !files.includes(file),
    );
    const made = report.testResults.map((result): [string, string] => [
      relative(root, result.name),
      sectionOf(result, report.startTime, seed),
    ]);
    writeFileSync(page, pageOf(new Map([...kept, ...made])));
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

/** Of the page as it is: file → its section. */
function sectionsOf(text: string): ReadonlyMap<string, string> {
  const sections = text.split(/^## (?=tests\/)/m).slice(1);
  return new Map(
    sections.map((section) => [section.split("\n")[0] ?? "", section.replace(/^.*\n/, "").trim()]),
  );
}

function pageOf(sections: ReadonlyMap<string, string>): string {
  const parts = [...sections]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([file, text]) => `## ${file}\n\n${text}\n`);
  return `# The last soak

\`npm run soak\` writes this page. It runs the tests that draw by chance at their full length; the suite runs a sample of each. Each file
says when it was run last, and with which seed: \`npm run soak -- SEED FILE\` runs the same again.

${parts.join("\n")}`;
}

function sectionOf(
  { assertionResults }: Report["testResults"][number],
  startTime: number,
  seed: number,
): string {
  const day = new Date(startTime).toISOString().slice(0, 10);
  const machine = `${process.platform} ${process.arch}, ${availableParallelism()} cores`;
  const rows = assertionResults.map(
    ({ ancestorTitles, title, status, duration, meta }) =>
      `| ${cell([...ancestorTitles, title].join(" "))} | ${status} | ${durationOf(duration ?? 0)} | ${cell(meta?.counted ?? "")} |`,
  );
  return [
    `${day}, seed ${seed}, Node ${process.versions.node}, ${machine}`,
    "",
    "| Test | Outcome | Took | Counted |",
    "| --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function durationOf(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
