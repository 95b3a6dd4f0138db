import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type SshServer, sshdPath, startSshServer } from "../git/support/sshd.ts";
import { type Bodywork, bodywork } from "../support/bodywork.ts";
import { type Files, type GitProject, makeProject } from "../support/git-project.ts";
import { batch, projectFile, service, trainAndServe } from "../support/pipelines.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { gate } from "./support/gate.ts";
import { done, left, servingMachine } from "./support/serving-machine.ts";

// Runs where the machine has an ssh server that this user can start; the machine of the project's CI has one.
test.skipIf(sshdPath === undefined)(
  "the failure stage of a private repository has the reason, the commit and its secrets (skipped where there is no OpenSSH server)",
  async () => {
    const server = await startSshServer();
    const tool = bodywork({ HOME: homeThatKnows(server) });
    await done(tool.run("create", "secret", "mail", "--group", "prod", "--data", "RECIPIENT=ops-team-7"));
    // What is secret is masked in the log: the number of its characters is not.
    const tell = [
      "import os",
      'print("reason:", os.environ["EXCEPTION_MESSAGE"])',
      'print("commit:", os.environ["GIT_COMMIT_HASH"])',
      'print("recipient:", len(os.environ["RECIPIENT"]), os.environ["RECIPIENT"])',
    ].join("\n");
    const project = await projectOf({
      "bodywork.yaml": projectFile({
        name: "private",
        dag: "train",
        pipeline: ["secrets_group: prod", "run_on_failure: tell"],
        stages: { train: batch(), tell: [...batch(), "secrets: {RECIPIENT: mail}"] },
      }),
      "train.py": "raise SystemExit(7)\n",
      "tell.py": tell,
    });
    const key = join(temporaryFolder("key"), "id");
    copyFileSync(server.key, key);
    chmodSync(key, 0o400);
    const url = `${server.address}${project.path}`;
    const failed = await tool.run("create", "deployment", url, "--ssh", key);
    expect(failed.exitCode, failed.stderr).toBe(1);
    expect(failed.stdout).toContain('reason: Stage "train" failed: exit 7');
    expect(failed.stdout).toContain(`commit: ${(await project.git("rev-parse", "HEAD")).slice(0, 7)}`);
    expect(failed.stdout).toContain("recipient: 10 ");
    expect(failed.stdout).not.toContain("ops-team-7");
    const [run] = await tool.runs();
    expect(run?.stages.map(({ stage, status }) => [stage, status])).toEqual([
      ["train", "failed"],
      ["tell", "succeeded"],
    ]);
  },
  120_000,
);

test("SIGTERM to the command cancels: what was replaced already is put back, and the exit code is not 0", async () => {
  const tool = bodywork();
  const stages = { serve: service(5000), check: batch() };
  const files = (version: string, check: string): Files => ({
    ...trainAndServe(version),
    "bodywork.yaml": projectFile({ name: "story", dag: "serve >> check", stages }),
    "check.py": check,
  });
  const project = await projectOf(files("one", ""));
  await done(tool.run("create", "deployment", project.url));
  const { url } = await tool.service("story", "serve");
  const answer = async (): Promise<string> => (await fetch(`${url}/`)).text();

  await project.commit(files("two", `print("checking")\n${gate().wait}`));
  const command = tool.start("create", "deployment", project.url);
  await command.shown("checking");
  expect(await answer()).toBe("two");
  command.process.kill("SIGTERM");
  const ended = await command.finished;
  expect(ended.exitCode, ended.stderr).toBe(1);
  expect(ended.stdout).toContain("Deployment cancelled --> cancelled: ");
  expect(await answer()).toBe("one");
  expect((await tool.runs())[0]?.status).toBe("cancelled");
}, 120_000);

test("a name that another repository has is refused with 1, and what serves under it serves on", async () => {
  const tool = bodywork();
  const ours = await projectOf(trainAndServe("ours"));
  const theirs = await projectOf(trainAndServe("theirs"));
  await done(tool.run("create", "deployment", ours.url));
  const refused = await tool.run("create", "deployment", theirs.url);
  expect(refused.exitCode, refused.stderr).toBe(1);
  expect(refused.stdout).toContain("Deployment failed --> ");
  expect(refused.stdout).toContain(
    `A project with the same name (or namespace): story originating from a different git repository (${ours.url})`,
  );
  const { url } = await tool.service("story", "serve");
  expect(await (await fetch(`${url}/`)).text()).toBe("ours");
}, 120_000);

test("of deploys of one project at once one waits, a third takes its place, and `get runs` says so of each", async () => {
  const tool = bodywork();
  const held = gate();
  const project = await projectOf({
    "bodywork.yaml": projectFile({ name: "story", dag: "train", stages: { train: batch() } }),
    "train.py": `print("at work")\n${held.wait}`,
  });
  const first = tool.start("create", "deployment", project.url);
  await first.shown("at work");
  const [holder] = await tool.runs();
  const second = tool.start("create", "deployment", project.url);
  await second.shown(`Waiting for run ${holder?.id} to end.`);
  expect(await rowsOf(tool)).toEqual([
    expect.stringMatching(`preparing .*waiting for run ${holder?.id} to end`),
    expect.stringContaining(" running "),
  ]);
  const third = tool.start("create", "deployment", project.url);
  await third.shown(`Waiting for run ${holder?.id} to end.`);
  const superseded = await second.finished;
  const [newest] = await tool.runs();
  expect(superseded.exitCode).toBe(1);
  expect(superseded.stdout).toContain(`superseded by run ${newest?.id}, which was asked for later`);

  held.open();
  const ended = await Promise.all([first.finished, third.finished]);
  expect(ended.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  expect(await rowsOf(tool)).toEqual([
    expect.stringContaining(" succeeded "),
    expect.stringMatching(`cancelled .*superseded by run ${newest?.id}`),
    expect.stringContaining(" succeeded "),
  ]);
}, 120_000);

test("a KUBECONFIG that can't be read, and CI without a choice, keep every command from acting, and say what to do", async () => {
  const project = await projectOf(trainAndServe("one"));
  const somewhere = { HOME: temporaryFolder("user"), BODYWORK_ENGINE: "", CI: "" };
  const cases = [
    [{ KUBECONFIG: "/no/such/config" }, "KUBECONFIG is /no/such/config, which can't be read"],
    [{ CI: "1" }, "this is a CI job (CI is set) without a kubeconfig"],
  ] as const;
  for (const [variables, why] of cases) {
    const tool = bodywork({ ...somewhere, ...variables });
    for (const command of [
      ["create", "deployment", project.url],
      ["create", "deployment", project.url, "--async"],
      ["delete", "deployment", "story", "--yes"],
      ["create", "cronjob", project.url, "--name", "x", "--schedule", "@daily"],
    ]) {
      const refused = await tool.run(...command);
      expect(refused.exitCode, command.join(" ")).toBe(1);
      expect(refused.stderr, command.join(" ")).toContain(why);
      expect(refused.stderr, command.join(" ")).toContain("--engine local");
    }
    expect(left(tool)).toEqual([]);
  }
}, 120_000);

test("`get deployments` says in one line what another engine holds", async () => {
  const machine = await servingMachine();
  onTestFinished(() => machine.remove(), 60_000);
  const token = await machine.token("all", "--scope", "deploy");
  const project = await projectOf({
    "bodywork.yaml": projectFile({ name: "story", dag: "train", stages: { train: batch() } }),
    "train.py": "",
  });
  await done(machine.tool.run("create", "deployment", project.url));
  const through = await done(
    machine.tool.run("get", "deployments", "--server", machine.url, "--token", token),
  );
  expect(through.stderr).toContain("this machine's own engine holds 1 deployment. See with --engine local");

  const client = machine.client();
  await done(client.runWithInput(`${token}\n`, "login", machine.url, "--token-stdin"));
  const here = await done(client.run("get", "deployments", "--engine", "local"));
  expect(here.stdout).not.toContain("story");
  expect(here.stderr).toContain(`Not shown is what the server ${machine.url} holds`);
}, 120_000);

async function projectOf(files: Files): Promise<GitProject> {
  return makeProject({ files, path: temporaryFolder("project") });
}

/** The lines of the table of runs, newest first, without its head. */
async function rowsOf(tool: Bodywork): Promise<readonly string[]> {
  const { stdout } = await done(tool.run("get", "runs"));
  return stdout.split("\n").filter((line) => /^\d{8}-\d{9}-/.test(line));
}

/** A user's home whose ssh knows the host. */
function homeThatKnows({ knownHostsLine }: SshServer): string {
  const home = temporaryFolder("user");
  mkdirSync(join(home, ".ssh"), { mode: 0o700 });
  writeFileSync(join(home, ".ssh", "known_hosts"), `${knownHostsLine}\n`);
  return home;
}
