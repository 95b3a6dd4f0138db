/** Broken project files by the thousand; a failure names the seed of its case. */

import { expect, test } from "vitest";
import { stageGraph } from "../../src/core/dag.ts";
import { type ParsedProject, parseProject } from "../../src/core/parse-project.ts";
import { planDeployment } from "../../src/core/plan.ts";
import { refusals } from "../../src/core/project-rules.ts";
import { findStageSecrets } from "../../src/core/stage-secrets.ts";
import { createRandom, type Random } from "../support/random.ts";
import { seed as firstSeed, times } from "../support/soak.ts";
import { mutatedFile } from "./support/mutate.ts";

const runs = times(20_000, 500_000);
/** Milliseconds. */
const longest = 1_000;

test(`no broken file crashes or hangs the parser (${runs} files)`, {
  timeout: 60_000 + runs * 20,
}, () => {
  const seen = { valid: 0, invalid: 0, unreadable: 0 };
  for (let run = 0; run < runs; run += 1) {
    const seed = firstSeed + run;
    const file = mutatedFile(createRandom(seed));
    const started = performance.now();
    const fault = faultOf(file, seen, createRandom(seed));
    const took = performance.now() - started;
    if (fault !== undefined || took > longest) {
      throw new Error(
        `seed ${seed}: ${fault ?? `took ${Math.round(took)} ms`}\n${JSON.stringify(file.toString("latin1"))}`,
      );
    }
  }
  // A mutator that breaks everything, or nothing, tests nothing.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(runs / 50);
});

test("the check notices a parser that throws, and a problem that is none", () => {
  const file = Buffer.from("a: 1");
  const seen = { valid: 0, invalid: 0, unreadable: 0 };
  const throws = (): ParsedProject => {
    throw new TypeError("x is not iterable");
  };
  const silent = (): ParsedProject => ({ project: undefined, problems: [] });
  expect(faultOf(file, seen, createRandom(1), throws)).toContain("x is not iterable");
  expect(faultOf(file, seen, createRandom(1), silent)).toContain("neither a project nor an error");
});

type Parser = typeof parseProject;

/** What is wrong with how a file was taken; undefined when all is well. */
function faultOf(
  file: Buffer,
  seen: { valid: number; invalid: number; unreadable: number },
  random: Random,
  parser: Parser = parseProject,
): string | undefined {
  try {
    const files = random.chance(0.3) ? { has: () => random.chance(0.8) } : undefined;
    const { project, problems } = parser(file, { fileName: "bodywork.yaml", files });
    const errors = problems.filter(({ severity }) => severity === "error");
    if ((project === undefined) !== errors.length > 0) return "neither a project nor an error, or both";
    for (const problem of problems) {
      if (problem.message === "" || problem.code === "") return "an empty problem";
      if (problem.line !== undefined && !(problem.line >= 1 && (problem.column ?? 0) >= 1)) {
        return `a place that is none: ${JSON.stringify(problem)}`;
      }
    }
    const unreadable = errors.some(({ code }) => code.startsWith("yaml"));
    seen[project !== undefined ? "valid" : unreadable ? "unreadable" : "invalid"] += 1;
    if (project === undefined) return undefined;
    const refused = refusals(project);
    if (refused.some(({ message }) => !problems.some((problem) => problem.message === message))) {
      return "a refusal that the validator does not warn about";
    }
    const nodes = stageGraph(project).map(({ id }) => id);
    if (new Set(nodes).size !== nodes.length && refused.length === 0) return "two nodes with one id";
    const { secrets } = findStageSecrets(project, "g", []);
    planDeployment({
      ...{ project, commit, lastRelease: 0, services: [], requirementsFiles: new Map() },
      ...{ secretsGroup: "g", secrets },
    });
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

const commit = {
  repository: "00".repeat(32),
  hash: "00".repeat(20),
  url: "https://forge.test/me/tides",
  shortHash: "0000000",
  branch: "main",
  author: "Ada",
  subject: "Tides",
  committedAt: "2026-11-23T18:00:00.000Z",
};
