import { mkdir, rm } from "node:fs/promises";
import { dirname, join, posix } from "node:path";

import { Failure } from "../../core/failure.ts";
import type { Stage } from "../../core/project.ts";
import type { TaskBase } from "../../core/run-state.ts";
import { inputVariable, outputVariable } from "../../core/stage-variables.ts";
import { resolveInside } from "../../lib/files.ts";
import type { Artifacts } from "../../ports/artifacts.ts";
import type { Source } from "../../ports/source.ts";

/** A private copy of the commit with the task's inputs in their places. */
export interface Workspace {
  /** The copy's root: what `PYTHONPATH` is. */
  readonly root: string;
  /** The folder of the stage's module: its working folder. */
  readonly folder: string;
  /** The module's file name in that folder. */
  readonly module: string;
  /** Input name → absolute path of its private copy. */
  readonly inputs: ReadonlyMap<string, string>;
}

/** Makes `root` anew. Fails: path-outside, stage-failed (no such module), artifact-damaged, disk-full. */
export async function prepareWorkspace(
  task: TaskBase & { readonly stage: Stage },
  root: string,
  source: Source,
  artifacts: Artifacts,
  signal: AbortSignal,
): Promise<Workspace> {
  await rm(root, { recursive: true, force: true });
  await mkdir(dirname(root), { recursive: true, mode: 0o700 });
  await source.checkOut(task.commit, root, signal);
  const workspace = await locateModule(task.stage, root);
  const inputs = new Map<string, string>();
  for (const input of task.inputs) {
    const target = await inside(
      root,
      posix.join(posix.dirname(task.stage.modulePath), input.path),
      task.stage,
    );
    await artifacts.place(input.artifact, target);
    inputs.set(input.name, target);
  }
  return { ...workspace, inputs };
}

/** The workspace that an earlier server made for a process which still runs. */
export async function locateModule(stage: Stage, root: string): Promise<Workspace> {
  const module = await inside(root, stage.modulePath, stage);
  return { root, folder: dirname(module), module: posix.basename(stage.modulePath), inputs: new Map() };
}

async function inside(root: string, path: string, stage: Stage): Promise<string> {
  const resolved = await resolveInside(root, path);
  if (resolved !== undefined) return resolved;
  throw new Failure(
    "path-outside",
    `Cannot run stage "${stage.name}": the path "${path}" leads outside the repository.`,
    { hint: "Use a path inside the repository; links may not leave it." },
  );
}

/**
 * The environment of a stage's process, built from nothing: what the machine must give, what the project declares, and
 * what the engine promises. No other variable of ours or the user's is in it.
 */
export function stageVariables(
  task: TaskBase & { readonly stage: Stage },
  workspace: Workspace,
  machine: Readonly<Record<string, string>>,
): Record<string, string> {
  const { stage } = task;
  const outputs = Object.entries(stage.outputs).map(([name, path]): [string, string] => [
    outputVariable(name),
    join(workspace.folder, path),
  ]);
  const inputs = [...workspace.inputs].map(([name, path]): [string, string] => [inputVariable(name), path]);
  const bin = join(task.environment.folder, "bin");
  return {
    ...machine,
    PATH: machine.PATH === undefined ? bin : `${bin}:${machine.PATH}`,
    VIRTUAL_ENV: task.environment.folder,
    PYTHONPATH: workspace.root,
    PYTHONUNBUFFERED: "1",
    ...task.variables,
    BODYWORK_RUN_ID: task.runId,
    BODYWORK_DEPLOYMENT: task.deployment,
    BODYWORK_NAMESPACE: task.namespace,
    BODYWORK_STAGE: stage.name,
    ...Object.fromEntries([...outputs, ...inputs]),
  };
}
