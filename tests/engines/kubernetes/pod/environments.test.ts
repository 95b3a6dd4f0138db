import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, expect, test } from "vitest";

import { runCommand } from "../../../../src/lib/run-command.ts";
import { aMachine, request } from "../../../environments/support/machine.ts";
import { makeWheel, sha256 } from "../../../environments/support/packages.ts";
import { failureOf } from "../../../git/support/source.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { makePod, type Pod, type PodResult, type PodRun, plainPath } from "./support.ts";

const uv = (process.env.PATH ?? "")
  .split(delimiter)
  .map((folder) => join(folder, "uv"))
  .find(existsSync);
const tools = [{ tool: "uv" }, { tool: "pip" }] as const;

/** An image: a Python with packages of its own, and an index to take others from. */
interface Image {
  readonly python: string;
  /** First on PATH after the image's Python. */
  readonly bin: string;
  readonly packages: string;
  readonly variables: Readonly<Record<string, string>>;
}

async function anImage(
  tool: "uv" | "pip",
  has: Readonly<Record<string, string>> = {},
  withPip = tool === "pip",
): Promise<Image> {
  const top = realpathSync(temporaryFolder("image"));
  const [packages, bin, venv] = [join(top, "packages"), join(top, "bin"), join(top, "venv")];
  for (const folder of [packages, bin]) mkdirSync(folder);
  cpSync(await venvTemplate(withPip), venv, { recursive: true, verbatimSymlinks: true });
  const python = join(venv, "bin/python3");
  for (const [name, version] of Object.entries(has)) {
    const wheel = makeWheel(join(top, "own"), name, version);
    await runWell(python, ["-m", "zipfile", "-e", wheel, sitePackages(venv)]);
  }
  if (tool === "uv" && uv !== undefined) symlinkSync(uv, join(bin, "uv"));
  const path = [join(venv, "bin"), bin, "/usr/bin", "/bin"].join(delimiter);
  return { python, bin, packages, variables: { PATH: path, PIP_FIND_LINKS: packages } };
}

const templates = new Map<boolean, Promise<string>>();
const templatesFolder = realpathSync(mkdtempSync(join(tmpdir(), "pod-images-")));
afterAll(() => rmSync(templatesFolder, { recursive: true, force: true }));

/** It takes seconds to make one with pip. */
function venvTemplate(withPip: boolean): Promise<string> {
  const make = async (): Promise<string> => {
    const venv = join(templatesFolder, withPip ? "with-pip" : "without-pip");
    await runWell("python3", ["-m", "venv", ...(withPip ? [] : ["--without-pip"]), venv]);
    return venv;
  };
  const made = templates.get(withPip) ?? make();
  templates.set(withPip, made);
  return made;
}

async function runWell(program: string, args: readonly string[]): Promise<string> {
  const result = await runCommand(program, args, { env: { PATH: await plainPath() } });
  if (result.exitCode !== 0) throw new Error(result.startError ?? result.stderr);
  return result.stdout;
}

function sitePackages(venv: string): string {
  const [name = ""] = readdirSync(join(venv, "lib"));
  return join(venv, "lib", name, "site-packages");
}

function environmentsOf(pod: Pod): readonly string[] {
  const folder = join(pod.cache, "environments");
  return existsSync(folder) ? readdirSync(folder) : [];
}

const showPackages = `
import importlib, sys
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    print("package", name, module.version, module.__file__)
`;

function runIn(pod: Pod, image: Image, specification: PodRun["specification"]): Promise<PodResult> {
  return pod.run({ specification: specification ?? {}, variables: image.variables });
}

test.skipIf(uv === undefined).each(tools)(
  "$tool installs what a stage asks for, once for all pods that share the cache",
  async ({ tool }) => {
    const image = await anImage(tool);
    makeWheel(image.packages, "alpha", "1.0", { requires: ["beta>=2"], scripts: { alpha: "alpha:main" } });
    makeWheel(image.packages, "beta", "2.5");
    const pod = await makePod({
      "main.py": `${showPackages}\nimport shutil; print(open(shutil.which("alpha")).read())`,
    });
    const specification = { requirements: ["alpha"], args: ["alpha", "beta"] };
    const first = await runIn(pod, image, specification);
    expect(first.log).toContain("INFO     Installing required Python packages : alpha\n");
    const [key = ""] = environmentsOf(pod);
    expect(key).toMatch(/^[0-9a-f]{64}$/);
    expect(first.log).toMatch(new RegExp(`package beta 2\\.5 .*/environments/${key}/lib/`));
    expect(first.log).toContain(`${pod.cache}/environments/${key}/bin/python`);
    expect(first.report?.environmentSeconds).toBeGreaterThan(0);
    const second = await runIn(pod, image, specification);
    expect(second.log).toContain("Using the environment that is there already");
    expect(second.report).toMatchObject({ status: "succeeded", environmentSeconds: 0 });
    expect(environmentsOf(pod)).toEqual([key]);
  },
  60_000,
);

test.skipIf(uv === undefined).each(tools)(
  "$tool keeps the image's packages, and installs others beside them only where they don't do",
  async ({ tool }) => {
    const image = await anImage(tool, { torch: "2.1.0+cu118", other: "1.0" });
    makeWheel(image.packages, "torch", "2.9.0");
    makeWheel(image.packages, "vision", "0.17", { requires: ["torch>=2", "other>=2"] });
    makeWheel(image.packages, "other", "2.0");
    const pod = await makePod({
      "main.py": `${showPackages}
from importlib.metadata import version
print("versions", version("torch"), version("other"), version("vision"))
`,
    });
    const { log } = await runIn(pod, image, { requirements: ["vision"], args: ["torch", "other", "vision"] });
    expect(log).toMatch(/package torch 2\.1\.0\+cu118 \S*\/venv\/lib/);
    expect(log).toMatch(/package other 2\.0 \S*\/environments\//);
    expect(log).toContain("versions 2.1.0+cu118 2.0 0.17");
    const [key = ""] = environmentsOf(pod);
    const names = readdirSync(join(pod.cache, "environments", key, "lib"), { recursive: true }).map(String);
    expect(names.filter((name) => name.includes("torch"))).toEqual([]);
    // The image is as it was.
    expect(await runWell(image.python, ["-c", "import other; print(other.version)"])).toBe("1.0\n");
  },
  60_000,
);

test("a stage that asks for nothing runs in the image's own Python", async () => {
  const image = await anImage("uv", { alpha: "1.0" });
  const pod = await makePod({ "main.py": `${showPackages}\nprint(sys.prefix)` });
  const { log, report } = await runIn(pod, image, { requirements: [" "], args: ["alpha"] });
  expect(log).toContain("/venv\n");
  expect(log).not.toContain("Installing");
  expect(report).not.toHaveProperty("environmentSeconds");
  expect(environmentsOf(pod)).toEqual([]);
});

test.skipIf(uv === undefined)("images with other packages have environments of their own", async () => {
  const image = await anImage("uv", { beta: "2.5" });
  makeWheel(image.packages, "alpha", "1.0", { requires: ["beta"] });
  makeWheel(image.packages, "beta", "3.0");
  const pod = await makePod({ "main.py": showPackages });
  const specification = { requirements: ["alpha"], args: ["beta"] };
  expect((await runIn(pod, image, specification)).log).toContain("package beta 2.5");
  // The next image is the same in all else.
  const site = sitePackages(join(image.python, "../.."));
  for (const name of ["beta.py", "beta-2.5.dist-info"]) rmSync(join(site, name), { recursive: true });
  expect((await runIn(pod, image, specification)).log).toContain("package beta 3.0");
  expect(environmentsOf(pod)).toHaveLength(2);
});

test.skipIf(uv === undefined)("two pods at once that need the same environment both get it", async () => {
  const image = await anImage("uv");
  makeWheel(image.packages, "alpha", "1.0");
  const pods = [await makePod({ "main.py": showPackages }), await makePod({ "main.py": showPackages })];
  const cache = temporaryFolder("cache");
  for (const pod of pods) {
    rmSync(pod.cache, { recursive: true });
    symlinkSync(cache, pod.cache);
  }
  const specification = { requirements: ["alpha"], args: ["alpha"] };
  const results = await Promise.all(pods.map((pod) => runIn(pod, image, specification)));
  for (const { log, exitCode } of results) {
    expect(log).toContain("package alpha 1.0");
    expect(exitCode).toBe(0);
  }
  expect(readdirSync(join(cache, "environments"))).toHaveLength(1);
});

test.skipIf(uv === undefined).each(tools)(
  "what $tool can't install fails the stage in the words of the local engine",
  async ({ tool }) => {
    const image = await anImage(tool);
    makeWheel(image.packages, "alpha", "1.0");
    const pod = await makePod({ "main.py": "" });
    const requirements = ["alpha", "no-such-package==9"];
    const { log, report, exitCode } = await runIn(pod, image, { requirements });
    const local = aMachine({ PIP_FIND_LINKS: image.packages, PATH: image.variables.PATH as string });
    const failure = await failureOf(local.environments.prepare(request(requirements)));
    expect(report).toMatchObject({ status: "failed", phase: "requirements", reason: failure.message });
    expect(failure.message).toBe(`${tool} could not install "no-such-package==9".`);
    expect(log).toContain(`ERROR    Stage train failed - ${failure.message}\n`);
    expect(exitCode).toBe(1);
    expect(environmentsOf(pod)).toEqual([]);
  },
  120_000,
);

test.each([
  [["./package"], undefined],
  [["-e", "."], undefined],
  [["package @ file:./package.whl"], undefined],
  [["-r other.txt"], undefined],
  [["--target", "/elsewhere", "alpha"], undefined],
  [["--find-links", "wheels"], undefined],
  [[], "alpha\n-r more.txt\n"],
  [[], "alpha\n./local # a comment\n"],
] as const)(
  "requirements %j and file %j are refused as the local engine refuses them",
  async (items, file) => {
    const pod = await makePod({ "main.py": "", ...(file === undefined ? {} : { "requirements.txt": file }) });
    const { report } = await pod.run({
      specification: {
        requirements: items,
        requirementsFile: file === undefined ? undefined : "requirements.txt",
      },
    });
    const { environments } = aMachine();
    const failure = await failureOf(environments.prepare({ ...request(items), requirementsFile: file }));
    expect(report).toMatchObject({ status: "failed", phase: "requirements", reason: failure.message });
  },
);

test.skipIf(uv === undefined)("a requirements file with hashes is obeyed", async () => {
  const image = await anImage("uv");
  const wheel = makeWheel(image.packages, "alpha", "1.0");
  const right = sha256(readFileSync(wheel));
  const pod = await makePod({
    "main.py": showPackages,
    "right.txt": `alpha==1.0 --hash=sha256:${right}\n`,
    "wrong.txt": `alpha==1.0 --hash=sha256:${"0".repeat(64)}\n`,
    "partly.txt": `alpha==1.0 --hash=sha256:${right}\nbeta\n`,
  });
  const args = ["alpha"];
  const obeyed = await runIn(pod, image, { requirementsFile: "right.txt", args });
  expect(obeyed.log).toContain("package alpha 1.0");
  makeWheel(image.packages, "beta", "1.0");
  for (const requirementsFile of ["wrong.txt", "partly.txt"]) {
    const refused = await runIn(pod, image, { requirementsFile, args });
    expect(refused.report).toMatchObject({ status: "failed", phase: "requirements" });
  }
});

test("without uv and pip the stage says what the image lacks", async () => {
  const image = await anImage("pip", {}, false);
  const site = sitePackages(join(image.python, "../.."));
  writeFileSync(join(site, "ensurepip.py"), "raise SystemExit('none')\n");
  writeFileSync(join(site, "_first.pth"), `import sys; sys.path.insert(0, ${JSON.stringify(site)})\n`);
  writeFileSync(join(site, "venv.py"), "raise SystemExit('none')\n");
  const pod = await makePod({ "main.py": "" });
  const { report, log } = await runIn(pod, image, { requirements: ["alpha"] });
  expect(report?.reason, log).toMatch(/there is neither uv nor pip for \S+ in this image\.$/);
});

test.skipIf(uv === undefined)(
  "a cache that can't be written to leaves the environment in the pod itself",
  async () => {
    const image = await anImage("uv");
    makeWheel(image.packages, "alpha", "1.0");
    const pod = await makePod({ "main.py": showPackages });
    rmSync(pod.cache, { recursive: true });
    writeFileSync(pod.cache, "not a folder");
    const specification = { requirements: ["alpha"], args: ["alpha"] };
    const first = await runIn(pod, image, specification);
    expect(first.log).toContain(`${pod.top}/work/cache/environments/`);
    // The container starts again in the same pod.
    const second = await runIn(pod, image, specification);
    expect(second.report).toMatchObject({ status: "succeeded", environmentSeconds: 0 });
  },
  60_000,
);

test.skipIf(uv === undefined)("uv takes packages from where the image's pip is told to", async () => {
  const image = await anImage("uv");
  makeWheel(image.packages, "alpha", "1.0");
  const pod = await makePod({ "main.py": showPackages });
  const { PIP_FIND_LINKS: _, ...variables } = image.variables;
  mkdirSync(join(pod.top, "home/.config/pip"), { recursive: true });
  writeFileSync(
    join(pod.top, "home/.config/pip/pip.conf"),
    `[global]\nno_index = yes\n[install]\nfind-links =\n    ${image.packages}\n    /nowhere\n`,
  );
  const { log } = await pod.run({
    specification: { requirements: ["alpha"], args: ["alpha"] },
    variables: { ...variables, PIP_NO_INDEX: "" },
  });
  expect(log).toContain("package alpha 1.0");
});

test.skipIf(uv === undefined)(
  "a build sees no variable of the stage, and passwords are not shown",
  async () => {
    const image = await anImage("uv");
    rmSync(join(image.bin, "uv"));
    writeFileSync(
      join(image.bin, "uv"),
      `#!/bin/sh\n[ "$1" = --version ] && exec "${uv}" --version\necho "secret=$PASSWORD"; echo "from $UV_INDEX"; exit 1\n`,
      { mode: 0o755 },
    );
    const pod = await makePod({ "main.py": "" });
    const { log } = await pod.run({
      specification: {
        requirements: ["--extra-index-url https://user:token@packages.example.com/simple", "alpha"],
      },
      variables: { ...image.variables, PASSWORD: "hidden" },
    });
    expect(log).toContain("secret=\n");
    expect(log).toContain("from https://****@packages.example.com/simple\n");
    expect(log).not.toContain("token");
  },
);
