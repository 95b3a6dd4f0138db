import { createHash } from "node:crypto";

import type { Environment, EnvironmentRequest, Environments } from "../../ports/environments.ts";
import { podPaths } from "./pod/pod-contract.ts";

/**
 * Environments as the operations know them, for an engine whose pods make their own: there is one for every request, and
 * nothing of it is on this machine. What can't be installed shows when a stage of it starts.
 */
export function createPodEnvironments(): Environments {
  const environmentOf = (request: EnvironmentRequest): Environment => ({
    key: keyOf(request),
    folder: `${podPaths.cache}/environments`,
    python: `python${request.python ?? "3"}`,
    pythonVersion: request.python ?? "of the image",
    lock: "",
    warnings: [],
  });
  return {
    find: environmentOf,
    prepare: async (request) => ({ ...environmentOf(request), built: false }),
    list: async () => [],
    sweep: async () => [],
  };
}

/** Tells requests apart; the pod's own key has the image's Python and platform in it, too. */
function keyOf({ requirements, requirementsFile, python, notebook }: EnvironmentRequest): string {
  const parts = [requirements, requirementsFile ?? null, python ?? null, notebook];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
