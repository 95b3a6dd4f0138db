/**
 * What other programs may import from the package: the shapes of a project file and of the records that
 * `--output json` prints.
 */

export { type FailureCode, type FailureKind, failureCatalogue } from "./core/failure.ts";
export type * from "./core/project.ts";
export type * from "./core/run-state.ts";
