import { mkdir, readdir, rmdir } from "node:fs/promises";
import { basename, dirname, join, posix } from "node:path";
import { Failure } from "../core/failure.ts";
import { parseProject } from "../core/parse-project.ts";
import type { Project, Stage } from "../core/project.ts";
import type { RunCommit } from "../core/run-state.ts";
import type { SecretValue } from "../core/secret-value.ts";
import { outputVariable } from "../core/stage-variables.ts";
import { withoutCredentials } from "../core/url-credentials.ts";
import { resolveInside } from "../lib/files.ts";
import { hasCode } from "../lib/has-code.ts";
import { type CommandResult, runCommand } from "../lib/run-command.ts";
import type { Environment, Environments } from "../ports/environments.ts";
import type { Source } from "../ports/source.ts";
import { projectFileName } from "./read-deployment.ts";

export interface StageHereRequest {
  readonly url: string;
  readonly stage: string;
  /** Branch, tag or commit; the repository's default branch when undefined. */
  readonly branch: string | undefined;
  /** Of the stage's program alone; 0 means no limit. */
  readonly timeoutSeconds: number;
  readonly sshKey: SecretValue | undefined;
  /** Absolute; the repository's files are put into `bodywork_project` below it, and stay there. */
  readonly folder: string;
}

/** Is told what happens. */
export interface StageHereObserver {
  log(level: "INFO" | "WARNING", text: string): void;
  /** What the installer prints, as it comes. */
  output(text: string): void;
}

export interface StageHereParts {
  readonly source: Source;
  readonly environments: Environments;
  /** Of this process: the stage gets all of them, for whoever starts it has set there what the stage needs. */
  readonly variables: Readonly<Record<string, string>>;
  /** Absolute path of the program that runs notebooks. */
  readonly notebookRunner: string;
}

/** The folder that the original clones into. */
const cloneFolder = "bodywork_project";

/**
 * Runs one stage to its end in the foreground, as the original does in a stage's container: the newest commit of the branch,
 * the stage's environment, its module in the module's own folder. The program's output goes straight to ours. Fails:
 * stage-failed, already-exists (the folder), timed-out, cancelled; as `Source` and `Environments` do.
 */
export async function runStageHere(
  request: StageHereRequest,
  parts: StageHereParts,
  { log, output }: StageHereObserver,
  signal: AbortSignal,
): Promise<void> {
  const { url, stage: name, branch } = request;
  const observer = { output, log: ofLevel(parts.variables.BODYWORK_LOG_LEVEL, log) };
  const repository = withoutCredentials(url);
  observer.log(
    "INFO",
    `Starting stage = ${name} from ${branch ?? "default"} branch of repo at ${repository}`,
  );
  const root = await emptyPlace(request.folder);
  const commit = await cloneTo(root, request, parts, signal);
  const project = await readProjectFile(commit, parts.source);
  const stage = stageOf(project, name);
  const environment = await prepareEnvironment(stage, project, commit, parts, observer, signal);
  const module = await resolveInside(root, stage.modulePath);
  if (module === undefined) {
    throw new Failure("path-outside", `its path "${stage.modulePath}" leads outside the repository`);
  }

  const kind = isNotebook(stage) ? "notebook" : "module";
  observer.log("INFO", `Attempting to run ${kind} = ${posix.join(cloneFolder, stage.modulePath)}`);
  const command = commandOf(stage, environment, module, parts);
  const ended = await runCommand(command[0] ?? "", command.slice(1), {
    cwd: dirname(module),
    env: variablesOf(stage, environment, commit, root, module, parts),
    inheritOutput: true,
    signal,
    ...limit(request.timeoutSeconds),
  });
  judge(ended, command, stage, request.timeoutSeconds);
  observer.log("INFO", `Successfully ran stage = ${name}`);
}

/** As the original heeds the variable: without it, or with something else in it, the level is INFO. */
function ofLevel(level: string | undefined, log: StageHereObserver["log"]): StageHereObserver["log"] {
  const hidden = { WARNING: ["INFO"], ERROR: ["INFO", "WARNING"], CRITICAL: ["INFO", "WARNING"] };
  const dropped = hidden[level as keyof typeof hidden] ?? [];
  return (of, text) => {
    if (!dropped.includes(of)) log(of, text);
  };
}

/** The original deletes what is there; a user's own folder of that name is not ours to touch. */
async function emptyPlace(folder: string): Promise<string> {
  const root = join(folder, cloneFolder);
  try {
    await rmdir(root);
  } catch (error) {
    if (hasCode(error, "ENOENT")) {
      await mkdir(folder, { recursive: true });
    } else {
      const found = await readdir(root).catch(() => undefined);
      throw new Failure(
        "already-exists",
        found === undefined ? `${root} is there already` : `${root} is there already and not empty`,
        { hint: "Remove it, or start the stage in another folder.", cause: error },
      );
    }
  }
  return root;
}

async function cloneTo(
  root: string,
  { url, branch, sshKey }: StageHereRequest,
  { source }: StageHereParts,
  signal: AbortSignal,
): Promise<RunCommit> {
  source.check(url);
  const commit = await source.resolve({ url, ref: branch, sshKey: sshKey?.reveal() }, signal);
  await source.checkOut(commit, root, signal);
  return commit;
}

/** As in a stage's container, whether its files are there is not looked at. */
async function readProjectFile(commit: RunCommit, source: Source): Promise<Project> {
  const bytes = await source.readFile(commit, projectFileName);
  if (bytes === undefined) {
    throw new Failure(
      "project-missing",
      `No config file found: commit ${commit.shortHash} has no ${projectFileName}`,
    );
  }
  const { project, problems } = parseProject(bytes, { fileName: projectFileName });
  if (project !== undefined) return project;
  const errors = problems.filter(({ severity }) => severity === "error").map(({ message }) => message);
  throw new Failure("project-invalid", `${projectFileName} is not valid`, { details: errors });
}

function stageOf(project: Project, name: string): Stage {
  const stage = project.stages.get(name);
  if (stage === undefined) {
    const known = [...project.stages.keys()].join(", ");
    throw new Failure(
      "not-found",
      `KeyError('${name}'): ${projectFileName} has no such stage, only ${known}`,
    );
  }
  const [input] = stage.inputs;
  if (input === undefined) return stage;
  throw new Failure(
    "stage-failed",
    `it takes the output "${input.fromOutput}" of stage "${input.fromStage}", which is only there in a deployment`,
    { hint: "Run the whole pipeline: bodywork create deployment" },
  );
}

async function prepareEnvironment(
  stage: Stage,
  project: Project,
  commit: RunCommit,
  { source, environments }: StageHereParts,
  observer: StageHereObserver,
  signal: AbortSignal,
): Promise<Environment> {
  const { requirements, requirementsFile } = stage;
  const required = [...requirements, ...(requirementsFile === undefined ? [] : [`-r ${requirementsFile}`])];
  if (required.length > 0) {
    observer.log("INFO", `Installing required Python packages: ${required.join(", ")}`);
    observer.output("Using pip-compatible installer: uv\n");
  }
  const file = requirementsFile === undefined ? undefined : await source.readFile(commit, requirementsFile);
  if (requirementsFile !== undefined && file === undefined) {
    throw new Failure(
      "project-invalid",
      `its requirements file ${requirementsFile} is not in the repository`,
    );
  }
  const environment = await environments.prepare(
    {
      requirements,
      requirementsFile: file?.toString("utf8"),
      python: project.pipeline.python,
      notebook: isNotebook(stage),
    },
    { signal, onOutput: observer.output },
  );
  for (const warning of environment.warnings) observer.log("WARNING", warning);
  if (required.length > 0) observer.log("INFO", "Successfully installed required Python packages");
  return environment;
}

function isNotebook({ modulePath }: Stage): boolean {
  return modulePath.endsWith(".ipynb");
}

function commandOf(
  stage: Stage,
  { python }: Environment,
  module: string,
  { notebookRunner }: StageHereParts,
): readonly string[] {
  if (!isNotebook(stage)) return [python, basename(module), ...stage.args];
  const page = module.replace(/\.ipynb$/, ".html");
  return [python, notebookRunner, basename(module), page, "[]", ...stage.args];
}

function variablesOf(
  { outputs }: Stage,
  environment: Environment,
  commit: RunCommit,
  root: string,
  module: string,
  { variables }: StageHereParts,
): Record<string, string> {
  const bin = join(environment.folder, "bin");
  return {
    ...variables,
    PATH: variables.PATH === undefined ? bin : `${bin}:${variables.PATH}`,
    VIRTUAL_ENV: environment.folder,
    PYTHONPATH: root,
    PYTHONUNBUFFERED: "1",
    GIT_COMMIT_HASH: commit.shortHash,
    ...Object.fromEntries(
      Object.entries(outputs).map(([name, path]) => [outputVariable(name), join(dirname(module), path)]),
    ),
  };
}

/** A timer takes no more milliseconds than fit into 31 bits, which are 24 days. */
function limit(seconds: number): { readonly timeout?: number } {
  const milliseconds = seconds * 1_000;
  return milliseconds === 0 || milliseconds >= 2 ** 31 ? {} : { timeout: milliseconds };
}

function judge(ended: CommandResult, command: readonly string[], stage: Stage, seconds: number): void {
  if (ended.aborted) throw new Failure("cancelled", "it was stopped");
  if (ended.timedOut) {
    throw new Failure("timed-out", `Timeout exceeded (${seconds} s) when running ${stage.modulePath}`);
  }
  if (ended.startError !== undefined) {
    throw new Failure("stage-failed", `${command[0]} could not be started: ${ended.startError}`);
  }
  if (ended.exitCode === 0) return;
  const how = ended.exitCode ?? ended.signal;
  throw new Failure("stage-failed", `CalledProcessError(${how}, ${JSON.stringify(command)})`);
}
