/**
 * `npm start`: deploys the example on the local engine, asks it about one flower, and says where to look next. The
 * home folder is one of its own (BODYWORK_HOME, from with-setup.mjs), so that it meets no other deployment.
 */

import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { runCommand } from "../src/lib/run-command.ts";
import { definedOnly } from "./programs.mjs";
import { runJob } from "./setup.mjs";

const root = dirname(import.meta.dirname);
const home = process.env.BODYWORK_HOME ?? "";
const repository = join(home, "example", "iris");
const flower = { sepal_length: 5.1, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2 };
const ourAddress = "bodywork@localhost";
const environment = definedOnly(process.env);
// Git sets some for its hooks, which would lead us to the repository of the hook.
const withoutGit = Object.fromEntries(
  Object.entries(environment).filter(([name]) => !name.startsWith("GIT_")),
);
const main = join(root, "src", "main.ts");

process.exitCode = await start().catch((error: Error) => {
  process.stderr.write(`npm start failed: ${error.message}\n`);
  return 1;
});

async function start(): Promise<number> {
  chooseLocalEngine();
  const whatWeDid = await commitExample();
  const url = pathToFileURL(repository).href;
  const exitCode = await runJob(
    process.execPath,
    [main, "create", "deployment", url, "--branch", "main"],
    process.env,
  );
  if (exitCode !== 0) {
    process.stderr.write(`npm start failed: the example was not deployed (exit ${exitCode}); see above.\n`);
    return exitCode;
  }
  const scoreUrl = `${await serviceUrl()}/v1/score`;
  const answer = await score(scoreUrl);
  process.stdout.write(nextSteps(whatWeDid, scoreUrl, answer));
  return 0;
}

/** So that the commands we show need to be told no more than the home folder, also where there is a kubeconfig. */
function chooseLocalEngine(): void {
  const settings = join(home, "settings.yaml");
  if (!existsSync(settings)) writeFileSync(settings, "engine: local\n");
}

/** The example as a Git repository, and what was done for it. Left alone when somebody has changed it. */
async function commitExample(): Promise<string> {
  mkdirSync(repository, { recursive: true });
  await git("init", "--quiet", "--initial-branch=main");
  const authors = (await git("log", "--all", "--format=%ae")).split("\n").filter((author) => author !== "");
  const isNew = authors.length === 0;
  if (!isNew && (await git("status", "--porcelain")) !== "") {
    return "The last commit of your copy of the example was deployed, without the changes that are not committed";
  }
  if (authors.some((author) => author !== ourAddress)) {
    return "The last commit of your copy of the example was deployed";
  }
  for (const name of readdirSync(repository).filter((entry) => entry !== ".git")) {
    rmSync(join(repository, name), { recursive: true });
  }
  cpSync(join(root, "examples", "iris"), repository, { recursive: true, filter: isOfExample });
  await git("add", "--all");
  if ((await git("status", "--porcelain")) === "") return "The example was deployed anew";
  await git("commit", "--quiet", "--message", "The iris example");
  return isNew
    ? "A Git repository was made of examples/iris and deployed"
    : "The Git repository of examples/iris was brought up to date and deployed";
}

/** Not what working on the example leaves beside it: a virtual environment, caches. */
function isOfExample(path: string): boolean {
  return !/^(\.|__pycache__$)/.test(basename(path));
}

async function git(...args: readonly string[]): Promise<string> {
  const identity = { GIT_AUTHOR_NAME: "Bodywork", GIT_AUTHOR_EMAIL: ourAddress };
  const committer = { GIT_COMMITTER_NAME: "Bodywork", GIT_COMMITTER_EMAIL: ourAddress };
  const own = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" };
  const result = await runCommand("git", args, {
    cwd: repository,
    env: { ...withoutGit, ...identity, ...committer, ...own },
  });
  if (result.exitCode === 0) return result.stdout.trim();
  const reason = result.startError === "ENOENT" ? "git is not on PATH; install it" : result.stderr.trim();
  throw new Error(`git ${args.join(" ")} in ${repository}: ${reason}`);
}

async function serviceUrl(): Promise<string> {
  const args = [main, "get", "deployment", "iris", "serve_model", "--output", "json"];
  const { exitCode, stdout, stderr } = await runCommand(process.execPath, args, { env: environment });
  const { url } = exitCode === 0 ? (JSON.parse(stdout) as { url?: string }) : {};
  if (url === undefined) throw new Error(`the stage serve_model of iris has no URL: ${stdout}${stderr}`);
  return url;
}

async function score(url: string): Promise<string> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(flower),
    signal: AbortSignal.timeout(30_000),
  });
  const text = (await response.text()).trim();
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${text}`);
  return text;
}

function nextSteps(whatWeDid: string, url: string, answer: string): string {
  const tool = `BODYWORK_HOME=${quoted(home)} ${quoted(join(root, "bodywork"))}`;
  return `
What happened: ${whatWeDid}:
its model was trained in a batch stage, and a Flask service with two replicas answers with it. Asked about one flower,
it said:

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

/** As one word of a shell. */
function quoted(text: string): string {
  return /^[\w./@%+=:,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
