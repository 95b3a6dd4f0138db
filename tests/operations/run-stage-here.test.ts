import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { type CommandOptions, type CommandResult, runCommand } from "../../src/lib/run-command.ts";
import type { StageHereRequest } from "../../src/operations/run-stage-here.ts";
import { hasUv, settled } from "../environments/support/machine.ts";
import { makeWheel } from "../environments/support/packages.ts";
import { type Files, type GitProject, makeProject } from "../support/git-project.ts";
import { batch, projectFile } from "../support/pipelines.ts";
import { temporaryFolder } from "../support/temporary.ts";

const program = join(import.meta.dirname, "support", "stage-here.ts");

interface Shell {
  /** The working folder. */
  readonly folder: string;
  run(
    request: Partial<StageHereRequest> & { readonly stage: string },
    more?: { readonly env?: Readonly<Record<string, string>> } & Omit<Partial<CommandOptions>, "env">,
  ): Promise<CommandResult>;
}

/** Somebody who starts stages of that project in a folder of their own. */
function shellFor(project: GitProject): Shell {
  const top = temporaryFolder("stage-here");
  const [folder, home] = [join(top, "here"), join(top, "home")];
  mkdirSync(home);
  onTestFinished(() => settled(join(home, "environments")));
  return {
    folder,
    run(request, { env = {}, ...options } = {}) {
      const whole = { url: project.url, branch: undefined, timeoutSeconds: 0, folder, ...request };
      return runCommand(process.execPath, [program, JSON.stringify(whole), home], {
        env: { PATH: process.env.PATH ?? "", TMPDIR: top, ...env },
        ...options,
      });
    },
  };
}

async function aProject(
  stages: Readonly<Record<string, readonly string[]>>,
  files: Files,
): Promise<GitProject> {
  const names = Object.keys(stages);
  const text = projectFile({ name: "here", dag: names.join(" >> "), stages });
  const project = await makeProject({ files: { "bodywork.yaml": text, ...files } });
  onTestFinished(() => project.remove());
  return project;
}

describe.skipIf(!hasUv)("a stage that is run here", () => {
  test("says what it does as the original, with the program's output between", async () => {
    const project = await aProject(
      {
        stage_1: ["executable_module_path: stages/one.py", 'args: ["Hello World", "2"]', ...batch()],
      },
      {
        "helper.py": "name = 'imported from the root'\n",
        "stages/data.txt": "read beside the module\n",
        "stages/one.py": [
          "import os, sys, helper",
          "print(sys.argv[1:], helper.name, open('data.txt').read().strip())",
          "print(os.environ['GIVEN'], os.environ['PYTHONPATH'], len(os.environ['GIT_COMMIT_HASH']))",
          "print('to stderr', file=sys.stderr)",
          "open('../../made.txt', 'w').write('made')",
          "",
        ].join("\n"),
      },
    );
    const { run, folder } = shellFor(project);
    const { exitCode, stdout, stderr } = await run(
      { stage: "stage_1", branch: "main" },
      { env: { GIVEN: "by me" } },
    );
    expect(stdout.split("\n")).toEqual([
      `INFO Starting stage = stage_1 from main branch of repo at ${project.url}`,
      "INFO Attempting to run module = bodywork_project/stages/one.py",
      "['Hello World', '2'] imported from the root read beside the module",
      `by me ${join(folder, "bodywork_project")} 7`,
      "INFO Successfully ran stage = stage_1",
      "",
    ]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "to stderr\n" });
    expect(readdirSync(folder).sort()).toEqual(["bodywork_project", "made.txt"]);
  });

  test("has its requirements, and says that they are installed", async () => {
    const packages = temporaryFolder("packages");
    makeWheel(packages, "heredep", "1.0");
    const project = await aProject(
      { train: ['requirements: ["heredep==1.0"]', ...batch()] },
      { "train.py": "import heredep\nprint('heredep', heredep.version)\n" },
    );
    const env = { PIP_FIND_LINKS: packages };
    const { exitCode, stdout } = await shellFor(project).run({ stage: "train" }, { env });
    expect(stdout).toMatch(/^INFO Installing required Python packages: heredep==1\.0\nUsing pip/m);
    expect(stdout).toMatch(/^INFO Successfully installed .*\n.*Attempting to run/m);
    expect(stdout).toMatch(/^heredep 1\.0$/m);
    expect(exitCode).toBe(0);
  });

  test("leaves out what the level of BODYWORK_LOG_LEVEL leaves out", async () => {
    const project = await aProject({ train: batch() }, { "train.py": "print('trained')\n" });
    const { stdout } = await shellFor(project).run(
      { stage: "train" },
      { env: { BODYWORK_LOG_LEVEL: "ERROR" } },
    );
    expect(stdout).toBe("trained\n");
  });

  test("fails as the original does when its program fails", async () => {
    const project = await aProject({ train: batch() }, { "train.py": "raise SystemExit(3)\n" });
    const { exitCode, stdout } = await shellFor(project).run({ stage: "train" });
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^stage-failed: CalledProcessError\(3, \[".*python","train\.py"\]\)$/m);
    expect(stdout).not.toContain("Successfully ran stage");
  });

  test("is ended with all that it started when its time is over", async () => {
    const project = await aProject(
      { train: batch() },
      { "train.py": "import subprocess\nsubprocess.run(['sh', '-c', 'echo $$ > ../pid; sleep 60'])\n" },
    );
    const { run, folder } = shellFor(project);
    const { exitCode, stdout } = await run({ stage: "train", timeoutSeconds: 2 });
    expect({ exitCode, stdout }).toEqual({
      exitCode: 1,
      stdout: expect.stringMatching(/^timed-out: Timeout exceeded \(2 s\) when running train\.py$/m),
    });
    expect(await isGone(join(folder, "pid"))).toBe(true);
  });

  test("is ended when the tool is told to stop", async () => {
    const project = await aProject({ train: batch() }, { "train.py": waiting });
    const { run, folder } = shellFor(project);
    const interrupt = new AbortController();
    const running = run({ stage: "train" }, { signal: interrupt.signal });
    while (!existsSync(join(folder, "pid"))) await sleep(20);
    // A SIGTERM for the tool, which the stage does not get by itself: it has a process group of its own.
    interrupt.abort();
    await running;
    expect(await isGone(join(folder, "pid"))).toBe(true);
  });

  test("of an unknown name is a KeyError that names the known ones", async () => {
    const project = await aProject({ train: batch(), serve: batch() }, {});
    const { exitCode, stdout } = await shellFor(project).run({ stage: "trian" });
    expect({ exitCode, stdout }).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining(
        "not-found: KeyError('trian'): bodywork.yaml has no such stage, only train, serve",
      ),
    });
  });

  test("of a repository that can't be had says that the clone failed", async () => {
    const project = await aProject({ train: batch() }, {});
    const { run } = shellFor(project);
    const url = "file:///no/such/repository";
    expect((await run({ stage: "train", url })).stdout).toMatch(/^repository-\w+: Git clone failed - /m);
    expect((await run({ stage: "train", branch: "no-such" })).stdout).toMatch(
      /^ref-not-found: Git clone failed - /m,
    );
  });

  test("touches no folder of the user's that is in its way", async () => {
    const project = await aProject({ train: batch() }, { "train.py": "print('trained')\n" });
    const { run, folder } = shellFor(project);
    const own = join(folder, "bodywork_project");
    mkdirSync(own, { recursive: true });
    expect((await run({ stage: "train" })).exitCode).toBe(0);
    const second = await run({ stage: "train" });
    expect(second.exitCode).toBe(1);
    expect(second.stdout).toContain(`already-exists: ${own} is there already and not empty`);
    const { folder: other, run: runThere } = shellFor(project);
    mkdirSync(other);
    writeFileSync(join(other, "bodywork_project"), "mine");
    expect((await runThere({ stage: "train" })).stdout).toContain("bodywork_project is there already\n");
    expect(readFileSync(join(other, "bodywork_project"), "utf8")).toBe("mine");
  });
});

const waiting = "import os, time\nopen('../pid', 'w').write(str(os.getpid()))\ntime.sleep(60)\n";

/** The process whose id is in the file ends within a few seconds. */
async function isGone(pidFile: string): Promise<boolean> {
  const pid = readFileSync(pidFile, "utf8").trim();
  for (let round = 0; round < 200; round += 1) {
    if (!existsSync(`/proc/${pid}`) || /\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"))) return true;
    await sleep(50);
  }
  return false;
}
