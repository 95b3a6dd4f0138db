import { expect, test } from "vitest";
import { type Bodywork, bodywork, eventually, type Finished } from "../support/bodywork.ts";
import { type Files, makeProject } from "../support/git-project.ts";
import { batch, projectFile, service, trainAndServe } from "../support/pipelines.ts";
import { steadyLoad } from "../support/steady-load.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** What a commit does wrong, and what the command must say of it. */
const mistakes: readonly {
  readonly name: string;
  readonly files: Files;
  readonly says: readonly string[];
}[] = [
  {
    name: "a service that never gets ready",
    files: {
      "bodywork.yaml": projectFile({
        name: "story",
        dag: "train >> serve",
        stages: { train: batch(), serve: service(5000, { replicas: 2, startup: 2 }) },
      }),
      "serve.py": "import time\nprint('about to hang')\ntime.sleep(600)\n",
    },
    says: ["Deployments failed to roll-out successfully", "not ready within 2 s", "about to hang"],
  },
  {
    name: "a service that ends at once",
    files: { "serve.py": "raise SystemExit('no model')\n" },
    says: ["Deployments failed to roll-out successfully", "exit 1", "no model"],
  },
  {
    name: "a batch stage that fails",
    files: { "train.py": "import sys\nprint('no data')\nsys.exit(3)\n" },
    says: ['Stage "train" failed: exit 3', "no data"],
  },
  {
    name: "a module that can't be imported",
    files: { "train.py": "import nowhere_to_be_found\n" },
    says: ["exit 1", "No module named 'nowhere_to_be_found'"],
  },
  {
    name: "a requirement that does not exist",
    files: {
      "bodywork.yaml": projectFile({
        name: "story",
        dag: "train >> serve",
        stages: {
          train: [...batch(), "requirements: [no-such-package-of-bodywork==9.9.9]"],
          serve: service(5000, { replicas: 2 }),
        },
      }),
    },
    says: ["Cannot build the Python environment of train", "no-such-package-of-bodywork"],
  },
  {
    name: "a project file with several errors",
    files: {
      "bodywork.yaml": trainAndServe("x")
        ["bodywork.yaml"]?.toString()
        .replace("  name: story\n", "")
        .replace("log_level: INFO", "log_level: LOUD") as string,
    },
    says: ["pipeline.name -> required field", "logging.log_level -> unallowed value LOUD"],
  },
  {
    name: "an output that is not written",
    files: {
      "bodywork.yaml": projectFile({
        name: "story",
        dag: "train >> serve",
        stages: { train: [...batch(), "outputs: {model: model.bin}"], serve: service(5000, { replicas: 2 }) },
      }),
    },
    says: ['Stage "train" failed: output "model" (model.bin): '],
  },
];

test("a commit that fails in any way exits with 1, says why, and the old release answers every request meanwhile", async () => {
  const tool = bodywork();
  const project = await makeProject({ files: trainAndServe("one"), path: temporaryFolder("project") });
  const first = await tool.run("create", "deployment", project.url);
  expect(first.exitCode, shown(first)).toBe(0);
  const { url } = await tool.service("story", "serve");
  const load = steadyLoad(`${url}/`);

  for (const { name, files, says } of mistakes) {
    await project.commit({ ...trainAndServe("bad"), ...files }, name);
    const failed = await tool.run("create", "deployment", project.url);
    expect(failed.exitCode, `${name}: ${shown(failed)}`).toBe(1);
    for (const text of ["Deployment failed --> ", ...says]) expect(failed.stdout, name).toContain(text);
  }

  const { answered, failures, answers } = await load.stop();
  expect(Object.fromEntries(failures)).toEqual({});
  expect([...answers.keys()]).toEqual(["one"]);
  expect(answered).toBeGreaterThan(100);
  for (const address of ["notaurl", "https://"]) {
    expect((await tool.run("create", "deployment", address)).exitCode, address).toBe(1);
  }
  const runs = await tool.runs();
  expect(runs.every(({ reason = "" }) => !reason.includes(".."))).toBe(true);
  expect(runs.map(({ status }) => status)).toEqual([...mistakes.map(() => "failed"), "succeeded"]);
}, 240_000);

test("what a failed run had replaced already is put back, newest first; what it had added goes", async () => {
  const tool = bodywork();
  const two = (dag: string, stages: readonly string[]): string =>
    projectFile({
      name: "story",
      dag,
      stages: Object.fromEntries(stages.map((name) => [name, kinds[name] ?? []])),
    });
  const kinds: Readonly<Record<string, readonly string[]>> = {
    serve: service(5000),
    extra: service(5001),
    check: batch(),
  };
  const project = await makeProject({
    files: { ...trainAndServe("one"), "bodywork.yaml": two("serve", ["serve"]) },
    path: temporaryFolder("project"),
  });
  expect((await tool.run("create", "deployment", project.url)).exitCode).toBe(0);
  await project.commit({
    ...trainAndServe("two"),
    "bodywork.yaml": two("serve >> extra >> check", ["serve", "extra", "check"]),
    "extra.py": (trainAndServe("extra")["serve.py"] as string).replace("5000", "5001"),
    "check.py": "raise SystemExit(4)\n",
  });
  const failed = await tool.run("create", "deployment", project.url);
  expect(failed.exitCode, shown(failed)).toBe(1);
  const [deployment] = await tool.deployments();
  expect(deployment?.services.map(({ stage, release, state }) => [stage, release, state])).toEqual([
    ["serve", 1, "serving"],
  ]);
  expect(await (await fetch(`${deployment?.services[0]?.url}/`)).text()).toBe("one");
}, 120_000);

test("Ctrl-C cancels: the stage ends, the services stay as they were, and the exit code is not 0", async () => {
  const tool = bodywork();
  const project = await makeProject({ files: trainAndServe("one"), path: temporaryFolder("project") });
  expect((await tool.run("create", "deployment", project.url)).exitCode).toBe(0);
  await project.commit({ "train.py": "import time\nprint('at work')\ntime.sleep(300)\n" });
  const command = tool.start("create", "deployment", project.url);
  await command.shown("at work");
  command.process.kill("SIGINT");
  const ended = await command.finished;
  expect(ended.exitCode, shown(ended)).toBe(1);
  const [run] = await tool.runs();
  expect(run).toMatchObject({ status: "cancelled", reason: "cancelled: Ctrl-C", code: "cancelled" });
  expect(ended.stdout).toContain("Deployment cancelled --> cancelled: Ctrl-C");
  expect(run?.stages.map(({ stage, status }) => [stage, status])).toEqual([
    ["train", "cancelled"],
    ["serve", "skipped"],
  ]);
  expect(await answerOf(tool)).toBe("one");
}, 120_000);

test("a command that is killed leaves the run to go on to its end", async () => {
  const tool = bodywork();
  const project = await makeProject({
    files: trainAndServe("one", { "train.py": "import time\nprint('at work')\ntime.sleep(2)\n" }),
    path: temporaryFolder("project"),
  });
  const command = tool.start("create", "deployment", project.url);
  await command.shown("at work");
  command.process.kill("SIGKILL");
  await command.finished;
  await eventually(async () => (await tool.runs())[0]?.status === "succeeded");
  expect(await answerOf(tool)).toBe("one");
}, 120_000);

test("the stage for failures runs last, with the reason, and changes nothing about the exit code", async () => {
  const tool = bodywork();
  const project = await makeProject({
    files: {
      "bodywork.yaml": projectFile({
        name: "story",
        dag: "train",
        pipeline: ["run_on_failure: tell"],
        stages: { train: batch(), tell: batch() },
      }),
      "train.py": "raise SystemExit(5)\n",
      "tell.py":
        "import os\nprint('I was told:', os.environ['EXCEPTION_MESSAGE'], os.environ['GIT_COMMIT_HASH'])\n",
    },
    path: temporaryFolder("project"),
  });
  const failed = await tool.run("create", "deployment", project.url);
  expect(failed.exitCode).toBe(1);
  expect(failed.stdout).toMatch(/I was told: Stage "train" failed: exit 5\. [0-9a-f]{7,}/);
}, 120_000);

async function answerOf(tool: Bodywork): Promise<string> {
  const { url } = await tool.service("story", "serve");
  return (await fetch(`${url}/`)).text();
}

function shown({ stdout, stderr }: Finished): string {
  return `${stdout}\n${stderr}`;
}
