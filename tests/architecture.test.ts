import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { architectureViolations } from "./support/architecture.ts";

const root = dirname(import.meta.dirname);

test("every module imports only what its room may, and what has one owner is used by that owner only", () => {
  const paths = globSync("src/**/*.ts", { cwd: root });
  const modules = new Map(paths.map((path) => [path, readFileSync(join(root, path), "utf8")]));
  expect(architectureViolations(modules)).toEqual([]);
});

test("looking at no module at all is an error, not a pass", () => {
  expect(() => architectureViolations(new Map())).toThrow("No module to check");
});

const planted: readonly (readonly [path: string, text: string, complaint: string])[] = [
  ["src/core/dag.ts", 'import "../ports/clock.ts";', "core may not import ports"],
  ["src/core/dag.ts", 'import type { A } from "../git/a.ts";', "core may not import git"],
  ["src/core/dag.ts", 'import "node:fs";', "core is pure"],
  ["src/core/dag.ts", 'export * from "../lib/files.ts";', "core may not import lib"],
  ["src/lib/files.ts", 'import { Failure } from "../core/failure.ts";', "lib may not import core"],
  ["src/ports/engine.ts", 'import "../lib/files.ts";', "ports may not import lib"],
  ["src/git/mirror.ts", 'import "../store/sqlite.ts";', "git may not import store"],
  ["src/engines/local/a.ts", 'import "../kubernetes/b.ts";', "may not import engines/kubernetes"],
  ["src/operations/deploy.ts", 'await import("../engines/local/a.ts");', "may not import engines/local"],
  ["src/cli/show.ts", 'import "../store/sqlite.ts";', "cli may not import store"],
  ["src/cli/show.ts", 'import "../wiring.ts";', "cli may not import wiring.ts"],
  ["src/main.ts", 'import "./git/mirror.ts";', "main.ts may not import git"],
  ["src/core/dag.ts", 'import "../../tests/support/x.ts";', "core may not import outside src"],
  ["src/cellar/x.ts", "", "there is no rule"],
  ["src/core/dag.ts", 'import "./plan";', "without its extension"],
  ["src/git/mirror.ts", 'import { spawn } from "node:child_process";', "belongs to lib"],
  ["src/git/mirror.ts", 'import { execa } from "execa";', "belongs to lib"],
  ["src/http/server.ts", 'import { DatabaseSync } from "node:sqlite";', "belongs to store"],
  ["src/git/mirror.ts", 'import { Agent } from "@kubernetes/client-node/x.js";', "engines/kubernetes"],
  ["src/http/server.ts", 'const y = await import("undici");', "imports undici dynamically"],
  ["src/git/mirror.ts", "const home = process.env.HOME;", "uses process.env"],
  ["src/git/mirror.ts", 'const home = process["env"];', "uses process.env"],
  ["src/git/mirror.ts", "const { env } = process;", "uses process.env"],
  ["src/git/mirror.ts", 'import { env } from "node:process";', "uses process.env"],
  ["src/git/mirror.ts", "console.log(1);", "uses console"],
  ["src/wiring.ts", "console.log(1);", "uses console"],
  ["src/git/mirror.ts", "function f() { process.exit(1); }", "uses process.exit"],
];

test.each(planted)("a planted violation is found: %s with %s", (path, text, complaint) => {
  const found = architectureViolations(new Map([[path, text]]));
  expect(found).toEqual(expect.arrayContaining([expect.stringContaining(complaint)]));
});

const allowed: readonly (readonly [path: string, text: string])[] = [
  ["src/core/dag.ts", 'import { parse } from "yaml";\nimport "./plan.ts";'],
  ["src/lib/run.ts", 'import { spawn } from "node:child_process";'],
  ["src/wiring.ts", 'import "./engines/local/a.ts";\nexport const env = process.env;'],
  ["src/main.ts", 'import "./wiring.ts";\nprocess.exit(0);'],
  ["src/cli/show.ts", 'import "../operations/views.ts";\nconsole.log(1);'],
  ["src/git/mirror.ts", '// console.log(process.env)\nconst text = "process.exit(1)";'],
];

test.each(allowed)("what the rules allow is not complained about: %s with %s", (path, text) => {
  expect(architectureViolations(new Map([[path, text]]))).toEqual([]);
});

test("only a program that another module starts as a process may end itself", () => {
  const program: [string, string] = ["src/engines/local/holder.ts", "process.exit(0);"];
  const starter: [string, string] = [
    "src/engines/local/start.ts",
    'export const holder = new URL("./holder.ts", import.meta.url);',
  ];
  expect(architectureViolations(new Map([program]))).toHaveLength(1);
  expect(architectureViolations(new Map([program, starter]))).toEqual([]);
});
