import type { CommandSpec } from "../command-spec.ts";

/** Rows of the command table. */
export const secretCommands: readonly CommandSpec[] = [];
