import { join } from "node:path";

import type { Stage } from "../../core/project.ts";

/**
 * What runs a stage: the module by its file name in its own folder, with the arguments as they are (the original does
 * the same); a notebook by our runner, which saves what the cells printed as HTML beside the log.
 */
export function commandOf(
  stage: Stage,
  python: string,
  module: string,
  notebookRunner: string,
  folder: string,
): readonly string[] {
  if (!stage.modulePath.endsWith(".ipynb")) return [python, module, ...stage.args];
  return [python, notebookRunner, module, join(folder, "notebook.html"), ...stage.args];
}
