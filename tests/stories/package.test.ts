import { globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type CommandResult, runCommand } from "../../src/lib/run-command.ts";
import { makeProject } from "../support/git-project.ts";
import { answering, batch, projectFile, service } from "../support/pipelines.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { placesIn, placesOfThisMachine } from "../tools/support/places.ts";

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

test("the package has the programs that run beside the tool, and what they read, as they are in the source", () => {
  const files = readdirSync(join(installed, "dist"));
  expect(files).toEqual(
    expect.arrayContaining(["spawner.js", "shim.sh", "ingress-holder.js", "ingress-process.js"]),
  );
  for (const path of ["shim.sh", "run_notebook.py", "bodywork_hook.py", "bodywork_sockets.py"]) {
    const [source = ""] = globSync(`src/**/${path}`, { cwd: root });
    expect(readFileSync(join(installed, "dist", path)), path).toEqual(readFileSync(join(root, source)));
  }
});

test("no file of the package names a folder of the machine it was made on, or the host of a registry", async () => {
  const places = await placesOfThisMachine();
  const found = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .flatMap((path) => placesIn(readFileSync(path, "utf8"), places).map((place) => `${path}: ${place}`));
  expect(found).toEqual([]);
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

test("the installed package deploys, serves through the ingress, shows, and stops", async () => {
  const bodywork = join(project, "node_modules", ".bin", "bodywork");
  const tool = (...args: readonly string[]): Promise<CommandResult> => run(bodywork, args);
  onTestFinished(async () => {
    await succeed(tool("server", "stop", "--services"));
  }, 60_000);
  const repository = await makeProject({
    files: {
      "bodywork.yaml": projectFile({
        name: "tiny",
        dag: "train >> serve",
        // Both replicas bind 0.0.0.0:5000, which only the start-up hook makes possible.
        stages: {
          train: [...batch(), "outputs: {model: model.txt}"],
          serve: [...service(5000, { replicas: 2 }), "inputs: {model: train.model}"],
        },
      }),
      "train.py": 'open("model.txt", "w").write("a model")\nprint("trained")\n',
      "serve.py": `assert open("model.txt").read() == "a model"\n${answering("hello")}`,
    },
    path: temporaryFolder("project"),
  });
  const deployed = await succeed(tool("create", "deployment", repository.url, "--branch", "main"));
  expect(deployed.stdout).toContain("train | trained");
  const got = await succeed(tool("get", "deployment", "tiny", "serve", "--output", "json"));
  const { url } = JSON.parse(got.stdout) as { url: string };
  expect(await (await fetch(url)).text()).toBe("hello");
  expect((await succeed(tool("logs", "tiny", "train"))).stdout).toContain("trained");

  await succeed(tool("server", "stop", "--services"));
  await expect(fetch(url)).rejects.toThrow();
}, 120_000);

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
