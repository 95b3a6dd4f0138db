import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { startupPth } from "../../../../../src/engines/local/name-hook/name-hook.ts";
import { createUvEnvironments } from "../../../../../src/environments/uv-environments.ts";
import type { Environment } from "../../../../../src/ports/environments.ts";
import { eventually } from "../../../../support/bodywork.ts";

/** The newest of each that this Python can have: the hook must hold for what users install today. */
export const serversAndClients = [
  ...["flask", "gunicorn", "waitress", "tornado", "hypercorn", "fastapi", "uvicorn[standard]"],
  ...["requests", "urllib3", "httpx", "aiohttp", "aiodns"],
];

/**
 * An environment as a deployment gets it, with the start-up file. Test files that ask for the same share it: it goes
 * with the suite's temporary folder.
 */
export async function hookedEnvironment(
  requirements: readonly string[],
  python?: string,
): Promise<Environment> {
  const environment = await environments().prepare({
    requirements,
    requirementsFile: undefined,
    python,
    notebook: false,
  });
  unsettled.add(environment.folder);
  return environment;
}

/** The same without the start-up file's effect is had by leaving the variables away. */
function environments() {
  const root = join(tmpdir(), "hooked-environments");
  return createUvEnvironments({
    folder: join(root, "environments"),
    toolsFolder: join(root, "tools"),
    environment: machineVariables(),
    startupPth,
  });
}

export function machineVariables(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/** Their bytecode is compiled by a process that outlives its maker, and nothing may be left of the suite. */
const unsettled = new Set<string>();

afterAll(async () => {
  for (const folder of unsettled) {
    await eventually(async () => existsSync(join(folder, "settled.json")), 120);
  }
}, 180_000);
