import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type CommandResult, runCommand } from "../../src/lib/run-command.ts";
import { definedOnly } from "../../tools/programs.mjs";
import { eventually } from "../support/bodywork.ts";
import { type GitProject, makeProject } from "../support/git-project.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { makeExampleCheckout, scoring } from "./support/example-checkout.ts";

/** The spaces and the quote must not come between a printed command and its working. */
function checkoutOfExample(): { readonly checkout: string; readonly env: Readonly<Record<string, string>> } {
  const folder = temporaryFolder("it's a start");
  const checkout = join(folder, "check out");
  makeExampleCheckout(checkout);
  const env = {
    ...definedOnly(process.env),
    BODYWORK_CACHE: join(folder, "cache"),
    // What must not matter.
    BODYWORK_HOME: join(folder, "not this"),
    BODYWORK_ENGINE: "kubernetes",
    KUBECONFIG: join(folder, "nowhere"),
    CI: "true",
    GIT_DIR: join(folder, "of a hook"),
  };
  return { checkout, env };
}

interface Example {
  start(): Promise<CommandResult>;
  /** A line that was printed, as a shell takes it, in another folder. */
  shell(line: string): Promise<CommandResult>;
}

function exampleOf({ checkout, env }: ReturnType<typeof checkoutOfExample>): Example {
  const { BODYWORK_HOME, BODYWORK_ENGINE, ...ofUser } = env;
  return {
    start: () =>
      runCommand(process.execPath, [join(checkout, "tools", "with-setup.mjs"), "start"], {
        env,
        cwd: checkout,
        timeout: 120_000,
      }),
    shell: (line) => runCommand("sh", ["-c", line], { env: ofUser, cwd: "/", timeout: 60_000 }),
  };
}

/** The commands that were printed: what is indented, with its continuations. */
function printedCommands(stdout: string): readonly string[] {
  const after = stdout.slice(stdout.indexOf("What happened: "));
  return [...after.replaceAll("\\\n", "").matchAll(/^ {2}(\S.*)$/gm)].map(([, line = ""]) => line);
}

/** Sends what a printed `curl URL -H HEADER -d DATA` would send, so that no curl need be there. */
async function sendAsPrinted(example: Example, line: string): Promise<unknown> {
  const { stdout } = await example.shell(`curl() { printf '%s\\n' "$@"; }; ${line}`);
  const [url = "", , header = "", , body = ""] = stdout.split("\n");
  const [name = "", value = ""] = header.split(": ");
  const response = await fetch(url, { method: "POST", headers: { [name]: value }, body });
  return response.json();
}

/** Ends all of it, also when the test fails before it came to the printed command. */
function stopAfterTest(example: Example): (line: string) => void {
  let stop: string | undefined;
  onTestFinished(async () => {
    if (stop !== undefined) await example.shell(stop);
  }, 60_000);
  return (line) => {
    stop = line;
  };
}

const flower = { sepal_length: 5.1, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2 };

test("npm start deploys the example, scores a flower, and prints commands that work when copied; what the user changes is kept; a failure has a reason", async () => {
  const place = checkoutOfExample();
  const example = exampleOf(place);
  const remember = stopAfterTest(example);

  const first = await example.start();
  const commands = printedCommands(first.stdout);
  remember(commands.at(-1) ?? "");
  expect(first.exitCode, first.stdout + first.stderr).toBe(0);
  expect(first.stdout).toContain("What happened: A Git repository was made of examples/iris and deployed");
  expect(JSON.parse(commands[0] ?? "")).toEqual({ species: "setosa", path: "/v1/score", flower });
  const [, curl = "", get = "", logs = "", stop = ""] = commands;
  expect(await sendAsPrinted(example, curl)).toMatchObject({ species: "setosa", flower });
  expect((await example.shell(get)).stdout).toContain("iris/serve-model");
  expect((await example.shell(logs)).exitCode).toBe(0);
  const repository = /^The project it deployed: (.*)$/m.exec(first.stdout)?.[1] ?? "";
  expect(existsSync(join(repository, ".venv"))).toBe(false);
  expect(existsSync(place.env.GIT_DIR ?? "")).toBe(false);

  const second = await example.start();
  expect(second.exitCode, second.stderr).toBe(0);
  expect(second.stderr).not.toContain("Set-up:");
  expect(second.stdout).toContain("What happened: The example was deployed anew");
  expect(second.stdout).toMatch(/serve_model +succeeded .* reused/);

  writeFileSync(join(place.checkout, "examples", "iris", "NEW.md"), "A newer example\n");
  expect((await example.start()).stdout).toContain("repository of examples/iris was brought up to date");
  expect(existsSync(join(repository, "NEW.md"))).toBe(true);

  const user = await makeProject({ files: { "serve_model.py": scoring("mine") }, path: repository });
  const mine = await example.start();
  expect(mine.stdout).toContain("What happened: The last commit of your copy of the example was deployed:");
  expect(await sendAsPrinted(example, curl)).toMatchObject({ species: "mine" });

  writeFileSync(join(repository, "serve_model.py"), scoring("not committed"));
  expect((await example.start()).stdout).toContain("without the changes that are not committed");
  expect(await sendAsPrinted(example, curl)).toMatchObject({ species: "mine" });

  await user.commit({ "train_model.py": "raise ValueError('no such flower')\n" });
  const failed = await example.start();
  expect(failed.exitCode).toBe(1);
  expect(failed.stdout).toContain("ValueError: no such flower");
  expect(failed.stderr).toContain("npm start failed: the example was not deployed (exit 1); see above.");
  expect(failed.stdout).not.toContain("What happened");
  expect(await sendAsPrinted(example, curl)).toMatchObject({ species: "mine" });

  await interruptedStart(place, user);
  expect(await sendAsPrinted(example, curl)).toMatchObject({ species: "mine" });

  expect((await example.shell(stop)).exitCode).toBe(0);
  await expect(sendAsPrinted(example, curl)).rejects.toThrow();
}, 240_000);

/** Ctrl-C, as a program sends it that runs us: to the outermost process only. */
async function interruptedStart({ checkout, env }: ReturnType<typeof checkoutOfExample>, user: GitProject) {
  await user.commit({ "train_model.py": "import time\nprint('training', flush=True)\ntime.sleep(60)\n" });
  const child = spawn(process.execPath, [join(checkout, "tools", "with-setup.mjs"), "start"], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)));
  const ended = new Promise((resolve) => child.once("close", resolve));
  await eventually(async () => output.includes("train_model | training"), 60);
  child.kill("SIGINT");
  expect(await ended, output).toBe(1);
  expect(output).toContain("npm start failed");
}

test("without git, npm start says so in one line", async () => {
  const { checkout, env } = checkoutOfExample();
  const result = await runCommand(process.execPath, [join(checkout, "tools", "start.ts")], {
    env: { ...env, BODYWORK_HOME: temporaryFolder("home"), PATH: "/nowhere" },
  });
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toMatch(/^npm start failed: git init .*: git is not on PATH; install it\n$/);
});
