import { chmodSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, relative } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { bodywork } from "../support/bodywork.ts";
import { makeProject } from "../support/git-project.ts";
import { processesBelow } from "../support/orphans.ts";
import { batch, projectFile, service, trainAndServe } from "../support/pipelines.ts";
import { temporaryFolder } from "../support/temporary.ts";

test("stages have the user's umask; what Bodywork keeps in its home is for the user alone, but for environments", async () => {
  const tool = bodywork();
  const project = await makeProject({
    files: {
      ...trainAndServe("one"),
      "bodywork.yaml": projectFile({
        name: "story",
        dag: "train >> serve",
        stages: {
          train: [...batch(), "outputs: {model: model.txt, folder: folder}"],
          serve: [...service(5000), "inputs: {model: train.model}"],
        },
      }),
      "train.py": `import os
os.umask(umask := os.umask(0))
print(f"umask {umask:03o}")
open("model.txt", "w").close()
os.mkdir("folder")
open("folder/a", "w").close()
`,
    },
    path: temporaryFolder("project"),
  });
  const before = process.umask(0o002);
  try {
    const { exitCode, stdout, stderr } = await tool.run("create", "deployment", project.url);
    expect(exitCode, stdout + stderr).toBe(0);
    expect(stdout).toContain("umask 002");
  } finally {
    process.umask(before);
  }
  // A working copy is the stage's own.
  const files = filesBelow(tool.home).filter(
    (path) => !/^environments|\/work\//.test(relative(tool.home, path)),
  );
  const open = files.filter((path) => (lstatSync(path).mode & 0o077) !== 0);
  expect(files.length).toBeGreaterThan(30);
  expect(open.map((path) => relative(tool.home, path))).toEqual([]);
  expect(processesBelow(tool.home).map(({ command }) => command)).toContain(`bodywork server ${tool.home}`);
}, 120_000);

test("that the port which the settings give the ingress is taken is told by the run that would open it; once it is free it is used", async () => {
  const tool = bodywork();
  const occupant = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void occupant.close());
  await new Promise((resolve) => occupant.once("listening", resolve));
  const address = occupant.address();
  const port = typeof address === "object" ? address?.port : undefined;
  mkdirSync(tool.home, { mode: 0o700 });
  writeFileSync(join(tool.home, "settings.yaml"), `listen: 127.0.0.1:${port}\n`);
  const project = await makeProject({ files: trainAndServe("one"), path: temporaryFolder("project") });
  const refused = await tool.run("create", "deployment", project.url);
  expect(refused.exitCode, refused.stdout + refused.stderr).toBe(1);
  expect(refused.stdout).toContain(
    `Cannot open the ingress as the settings have it: 127.0.0.1:${port} is taken.`,
  );
  await new Promise((resolve) => occupant.close(resolve));
  const deployed = await tool.run("create", "deployment", project.url);
  expect(deployed.exitCode, deployed.stdout + deployed.stderr).toBe(0);
  expect((await tool.server()).ingress).toBe(`http://127.0.0.1:${port}`);
}, 120_000);

const commands = [
  ["get", "deployments"],
  ["get", "runs"],
  ["logs", "story"],
  ["env", "list"],
  ["server", "status"],
  ["server", "start"],
] as const;

test("a home that is unsafe or no folder is refused by what looks as by what acts, and one that can't be made at once", async () => {
  const file = join(temporaryFolder(), "file");
  writeFileSync(file, "");
  const open = join(temporaryFolder(), "open");
  mkdirSync(open);
  chmodSync(open, 0o777);
  for (const home of [file, join(file, "below"), open]) {
    const tool = bodywork({ BODYWORK_HOME: home });
    for (const command of commands) {
      const { exitCode, stdout, stderr } = await tool.run(...command);
      expect({ exitCode, stdout }, `${command.join(" ")} in ${home}: ${stderr}`).toEqual({
        exitCode: 1,
        stdout: "",
      });
      expect(stderr).toContain(`Cannot use the home folder ${home}: `);
    }
  }
  const nowhere = bodywork({ BODYWORK_HOME: "/proc/bodywork" });
  expect(await nowhere.run("get", "deployments")).toMatchObject({
    exitCode: 0,
    stdout: "No deployments found\n",
  });
  expect(await nowhere.run("env", "list")).toMatchObject({ exitCode: 0, stdout: "No environments found\n" });
  expect(await nowhere.run("server", "start")).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("Cannot use the home folder /proc/bodywork: it can't be made (ENOENT)."),
  });
}, 120_000);

test("what is no project file is refused at once, with what to name instead", async () => {
  const tool = bodywork();
  const folder = temporaryFolder();
  writeFileSync(join(folder, "bodywork.yaml"), "x".repeat(2 * 1024 * 1024));
  const validated = async (file: string) => {
    const { exitCode, stdout, stderr } = await tool.run("validate", "--file", file);
    return { exitCode, said: stdout + stderr };
  };
  expect(await validated("/dev/zero")).toEqual({
    exitCode: 2,
    said: "Error: Cannot read /dev/zero: it is neither a file nor a pipe.\n",
  });
  expect(await validated(folder)).toEqual({
    exitCode: 2,
    said: `Error: Cannot read ${folder}: it is a folder.\nHint: Name the file in it: ${folder}/bodywork.yaml\n`,
  });
  expect(await validated(join(folder, "bodywork.yaml"))).toEqual({
    exitCode: 1,
    said: expect.stringContaining("more than 1 MiB"),
  });
  expect(await validated(join(folder, "bodywork.yaml", "below"))).toEqual({
    exitCode: 1,
    said: expect.stringContaining("No config file found at"),
  });
}, 60_000);

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : entry.isFile() ? [path] : [];
  });
}
