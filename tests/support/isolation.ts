import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isolated } from "../../tools/setup.mjs";
import { endOrphans } from "./orphans.ts";

/**
 * Before the suite: one root for all temporary folders, a home in it, the local engine, no way to a cluster, and none
 * of the machine's git settings. After it: nothing that was started below that root may still run, and the root goes.
 */
export default function isolate(): () => Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "bw-"));
  const home = join(root, "home");
  mkdirSync(home, { mode: 0o700 });
  const environment: Readonly<Record<string, string | undefined>> = {
    ...isolated(process.env, home),
    TMPDIR: root,
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_SYSTEM: "/dev/null",
    PYTHONDONTWRITEBYTECODE: undefined,
  };
  for (const name of Object.keys(process.env)) {
    if (!(name in environment)) delete process.env[name];
  }
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  return async () => {
    const orphans = await endOrphans(root);
    rmSync(root, { recursive: true, force: true, maxRetries: 3 });
    if (orphans.length > 0) {
      throw new Error(`The suite left ${orphans.length} processes running:\n${orphans.join("\n")}`);
    }
  };
}
