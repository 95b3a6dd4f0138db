import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CommandResult, runCommand } from "../../src/lib/run-command.ts";

const root = join(import.meta.dirname, "..", "..");
const folder = mkdtempSync(join(tmpdir(), "package-"));
const project = join(folder, "somewhere");
const installed = join(project, "node_modules", "bodywork");

const env = {
  PATH: [dirname(process.execPath), process.env.PATH ?? ""].join(delimiter),
  HOME: join(folder, "home"),
  BODYWORK_HOME: join(folder, "bodywork"),
};

beforeAll(async () => {
  mkdirSync(project);
  mkdirSync(env.HOME);
  writeFileSync(join(project, "package.json"), '{"private": true, "type": "module"}');
  const forSetUp = { ...process.env, ...env, HOME: process.env.HOME } as Record<string, string>;
  await succeed(run("npm", ["pack", "--pack-destination", folder], { cwd: root, env: forSetUp }));
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  // Offline: all the code it needs is inside.
  await succeed(run("npm", ["install", "--offline", "--no-audit", "--no-fund", join(folder, `${tarball}`)]));
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));

test("the package has what runs and what people read, and nothing of the development", () => {
  const files = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(installed.length + 1));
  const expected = /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|bin\/bodywork\.cjs|dist\/.+)$/;
  expect(files.filter((file) => !expected.test(file))).toEqual([]);
  expect(files.filter((file) => /(?<!\.d)\.ts$|\.test\.|\.map$/.test(file))).toEqual([]);
  expect(files).toContain("dist/third-party-licences.txt");
  expect(readdirSync(join(project, "node_modules")).filter((name) => !name.startsWith("."))).toEqual([
    "bodywork",
  ]);
});

test.each(["bodywork", "bw"])(
  "`%s version` of the installed package prints the package's version",
  async (name) => {
    const about: { version: string } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const { stdout } = await succeed(run(join(project, "node_modules", ".bin", name), ["version"]));
    expect(stdout).toContain(about.version);
  },
);

test("the installed package validates a project file", async () => {
  const bodywork = join(project, "node_modules", ".bin", "bodywork");
  const good = await run(bodywork, ["validate", "--file", join(root, "examples", "iris", "bodywork.yaml")]);
  expect(good.exitCode, good.stdout + good.stderr).toBe(0);
  const missing = await run(bodywork, ["validate", "--file", "nowhere.yaml"]);
  expect(missing.exitCode).toBe(1);
});

test("on an older Node it says in one line what it needs", async () => {
  const pretend = 'Object.defineProperty(process.versions, "node", { value: "20.19.0" });';
  const start = `${pretend} require(${JSON.stringify(join(installed, "bin", "bodywork.cjs"))})`;
  const result = await run(process.execPath, ["-e", start]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toMatch(/^bodywork needs Node 24 or newer; this is v[\d.]+\.\n$/);
});

test("a TypeScript program can use its types, and is told when it uses them wrongly", async () => {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const program = 'import { failureCatalogue, type Project } from "bodywork";\n';
  const compile = (name: string, text: string): Promise<CommandResult> => {
    writeFileSync(join(project, name), program + text);
    const flags = ["--noEmit", "--strict", "--target", "es2024", "--module", "nodenext", "--skipLibCheck"];
    return run(process.execPath, [tsc, ...flags, name]);
  };
  await succeed(
    compile(
      "right.ts",
      "export const name = (p: Project): string => p.pipeline.name + failureCatalogue.usage;",
    ),
  );
  const wrong = await compile("wrong.ts", "export const name = (p: Project): number => p.pipeline.name;");
  expect(wrong.stdout).toContain("TS2322");
});

function run(
  file: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<CommandResult> {
  return runCommand(file, args, { cwd: project, env, timeout: 100_000, ...options });
}

async function succeed(running: Promise<CommandResult>): Promise<CommandResult> {
  const result = await running;
  expect(result.exitCode, `${result.stdout}${result.stderr}`).toBe(0);
  return result;
}
