import { existsSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { BatchTask } from "../../../src/core/run-state.ts";
import { commandOf } from "../../../src/engines/local/stage-command.ts";
import { prepareWorkspace, stageVariables } from "../../../src/engines/local/workspace.ts";
import type { Artifacts } from "../../../src/ports/artifacts.ts";
import type { Source } from "../../../src/ports/source.ts";
import { fakeArtifacts, fakeSource } from "../../support/fake-parts.ts";
import { batchStage, batchTask } from "../../support/tasks.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const never = new AbortController().signal;

/** A source whose commits all hold these files, and links. */
function sourceOf(files: Readonly<Record<string, string | { readonly link: string }>>): Source {
  return {
    ...fakeSource(),
    async checkOut(_commit, folder) {
      mkdirSync(folder);
      for (const [name, content] of Object.entries(files)) {
        mkdirSync(join(folder, name, ".."), { recursive: true });
        if (typeof content === "string") writeFileSync(join(folder, name), content);
        else symlinkSync(content.link, join(folder, name));
      }
    },
  };
}

const placing: Artifacts = {
  ...fakeArtifacts(),
  async place({ digest }, target) {
    mkdirSync(join(target, ".."), { recursive: true });
    writeFileSync(target, digest);
  },
};

const input = (path: string) => ({
  name: "raw-model",
  path,
  artifact: { digest: "sha256:1", kind: "file", bytes: 1 } as const,
});

test("a workspace is a fresh copy of the commit with the inputs beside the stage's module", async () => {
  const root = join(temporaryFolder(), "attempt", "work");
  const task = batchTask(batchStage("train", { modulePath: "steps/train.py" }), {
    inputs: [input("in/model")],
  });
  const source = sourceOf({ "steps/train.py": "", "README.md": "" });
  for (let time = 0; time < 2; time++) {
    const workspace = await prepareWorkspace(task, root, source, placing, never);
    expect(workspace).toMatchObject({ root, folder: join(realpathSync(root), "steps"), module: "train.py" });
    expect(readFileSync(workspace.inputs.get("raw-model") as string, "utf8")).toBe("sha256:1");
    expect(existsSync(join(root, "left"))).toBe(false);
    writeFileSync(join(root, "left"), "by an attempt that was killed");
  }
});

test.each([
  ["a module outside", { modulePath: "../train.py" }, []],
  ["an absolute module", { modulePath: "/etc/passwd" }, []],
  ["a module behind a link that leaves", { modulePath: "out/train.py" }, []],
  ["an input outside", { modulePath: "train.py" }, [input("../../model")]],
  ["an input through a link that leaves", { modulePath: "train.py" }, [input("out/model")]],
])("%s is refused", async (_title, stage, inputs) => {
  const outside = temporaryFolder("outside");
  const source = sourceOf({ "train.py": "", out: { link: outside } });
  const task = batchTask(batchStage("train", stage), { inputs });
  const root = join(temporaryFolder(), "work");
  await expect(prepareWorkspace(task, root, source, placing, never)).rejects.toMatchObject({
    code: "path-outside",
  });
  expect(existsSync(join(outside, "model"))).toBe(false);
});

test("the variables of a stage are the machine's, the project's and the engine's, and the engine's win", () => {
  const stage = batchStage("train", { outputs: { "raw-model": "out/model", état: "x" } });
  const task = batchTask(stage, { variables: { GIT_COMMIT_HASH: "1234567", BODYWORK_STAGE: "forged" } });
  const workspace = {
    root: "/w",
    folder: "/w/steps",
    module: "train.py",
    inputs: new Map([["a.b", "/w/steps/in"]]),
  };
  expect(stageVariables(task, workspace, { PATH: "/usr/bin", HOME: "/home/me" })).toEqual({
    PATH: "/environment/bin:/usr/bin",
    HOME: "/home/me",
    VIRTUAL_ENV: "/environment",
    PYTHONPATH: "/w",
    PYTHONUNBUFFERED: "1",
    GIT_COMMIT_HASH: "1234567",
    BODYWORK_RUN_ID: "run-1",
    BODYWORK_DEPLOYMENT: "story",
    BODYWORK_NAMESPACE: "space",
    BODYWORK_STAGE: "train",
    BODYWORK_OUTPUT_RAW_MODEL: "/w/steps/out/model",
    BODYWORK_OUTPUT__TAT: "/w/steps/x",
    BODYWORK_INPUT_A_B: "/w/steps/in",
  });
});

test("a module is run by its name with its arguments as they are; a notebook by the runner, which saves it as HTML", () => {
  const args = ["--x", "two words"];
  const of = (modulePath: string, secrets: BatchTask["secrets"] = {}) =>
    commandOf(
      batchTask(batchStage("a", { args, modulePath }), { secrets }),
      modulePath,
      "/runner.py",
      "/attempt",
    );
  expect(of("a.py")).toEqual(["python3", "a.py", ...args]);
  const notebook = ["python3", "/runner.py", "a.ipynb", "/attempt/notebook.html"];
  expect(of("a.ipynb")).toEqual([...notebook, "[]", ...args]);
  const secrets = { TOKEN: { group: "g", name: "s", key: "TOKEN", version: 1 } };
  expect(of("a.ipynb", secrets)).toEqual([...notebook, '["TOKEN"]', ...args]);
});
