/**
 * `npm start`: deploys the example on the local engine, asks it about one flower, and says where to look next. The
 * home folder is one of its own (BODYWORK_HOME, from with-setup.mjs), so that it meets no other deployment.
 */

import { cpSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { runCommand } from "../src/lib/run-command.ts";
import { runJob } from "./setup.mjs";

const root = dirname(import.meta.dirname);
const home = process.env.BODYWORK_HOME ?? "";
const repository = join(home, "example", "iris");
const flower = { sepal_length: 5.1, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2 };
const ourAddress = "bodywork@localhost";
const environment = definedOnly(process.env);

process.exitCode = await main();

async function main(): Promise<number> {
  await commitExample();
  const url = pathToFileURL(repository).href;
  const exitCode = await bodywork("create", "deployment", url, "--branch", "main");
  if (exitCode !== 0) return exitCode;
  const service = await serviceUrl();
  const answer = await score(`${service}/v1/score`);
  process.stdout.write(nextSteps(`${service}/v1/score`, answer));
  return 0;
}

/** The example as a Git repository. A later start brings it up to date, unless somebody has changed it. */
async function commitExample(): Promise<void> {
  mkdirSync(repository, { recursive: true });
  await git("init", "--quiet", "--initial-branch=main");
  if (await isChangedByOthers()) return;
  for (const name of readdirSync(repository).filter((entry) => entry !== ".git")) {
    rmSync(join(repository, name), { recursive: true });
  }
  cpSync(join(root, "examples", "iris"), repository, { recursive: true });
  await git("add", "--all");
  if ((await git("status", "--porcelain")) === "") return;
  await git("commit", "--quiet", "--message", "The iris example");
}

async function isChangedByOthers(): Promise<boolean> {
  const authors = (await git("log", "--all", "--format=%ae")).split("\n");
  const isUncommitted = authors[0] !== "" && (await git("status", "--porcelain")) !== "";
  return isUncommitted || authors.some((author) => author !== "" && author !== ourAddress);
}

async function git(...args: readonly string[]): Promise<string> {
  const identity = { GIT_AUTHOR_NAME: "Bodywork", GIT_AUTHOR_EMAIL: ourAddress };
  const committer = { GIT_COMMITTER_NAME: "Bodywork", GIT_COMMITTER_EMAIL: ourAddress };
  const own = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" };
  const result = await runCommand("git", args, {
    cwd: repository,
    env: { ...environment, ...identity, ...committer, ...own },
  });
  if (result.exitCode === 0) return result.stdout.trim();
  const reason = result.startError === "ENOENT" ? "git is not on PATH; install it" : result.stderr;
  throw new Error(`git ${args.join(" ")}: ${reason}`);
}

function bodywork(...args: readonly string[]): Promise<number> {
  return runJob(process.execPath, [join(root, "src", "main.ts"), ...args], process.env);
}

async function serviceUrl(): Promise<string> {
  const args = [join(root, "src", "main.ts"), "get", "deployment", "iris", "serve_model", "--output", "json"];
  const { stdout, stderr } = await runCommand(process.execPath, args, { env: environment });
  const url = (JSON.parse(stdout) as { url?: string } | null)?.url;
  if (url === undefined) throw new Error(`The service has no URL: ${stdout}${stderr}`);
  return url;
}

async function score(url: string): Promise<string> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(flower),
  });
  const text = (await response.text()).trim();
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${text}`);
  return text;
}

function nextSteps(url: string, answer: string): string {
  const tool = `BODYWORK_HOME='${home}' ${join(root, "bodywork")}`;
  return `
What happened: a Git repository was made of examples/iris, its model was trained in a batch stage, and a Flask
service with two replicas answers with it. Asked about one flower, it said:

  ${answer}

Ask it yourself:

  curl ${url} -H 'content-type: application/json' \\
    -d '${JSON.stringify(flower)}'

Look around:

  ${tool} get deployments
  ${tool} logs iris serve_model

The project it deployed: ${repository}
Change something there, commit, and run npm start again; or stop everything:

  ${tool} server stop --services
`;
}

function definedOnly(variables: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(variables).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
