import { join } from "node:path";

import type { Stage } from "../../core/project.ts";
import type { TaskBase } from "../../core/run-state.ts";

/**
 * What runs a stage: the module by its file name in its own folder, with the arguments as they are (the original does
 * the same); a notebook by our runner, which saves what the cells printed as HTML beside the log, its secrets masked.
 */
export function commandOf(
  { stage, environment, secrets }: TaskBase & { readonly stage: Stage },
  module: string,
  notebookRunner: string,
  folder: string,
): readonly string[] {
  const { python } = environment;
  if (!stage.modulePath.endsWith(".ipynb")) return [python, module, ...stage.args];
  const masked = JSON.stringify(Object.keys(secrets ?? {}));
  return [python, notebookRunner, module, join(folder, "notebook.html"), masked, ...stage.args];
}
