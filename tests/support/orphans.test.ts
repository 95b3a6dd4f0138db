import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCommand } from "../../src/lib/run-command.ts";
import { endOrphans, processesBelow } from "./orphans.ts";
import { temporaryFolder } from "./temporary.ts";

/** Starts a program that nobody is the parent of; its pid. */
async function abandon(options: { readonly env?: Record<string, string>; readonly cwd?: string }) {
  const { stdout } = await runCommand("/bin/sh", ["-c", "sleep 300 >/dev/null 2>&1 & echo $!"], {
    env: { PATH: process.env.PATH ?? "", ...options.env },
    cwd: options.cwd ?? "/",
  });
  return Number(stdout);
}

test.skipIf(process.platform !== "linux")(
  "a process left below the test root is named and ended, by its home or by its working folder",
  async () => {
    const root = temporaryFolder("orphans");
    const other = temporaryFolder("others");
    mkdirSync(join(root, "home"));
    const byHome = await abandon({ env: { BODYWORK_HOME: join(root, "home") } });
    const byFolder = await abandon({ cwd: root });
    const elsewhere = await abandon({ cwd: other });
    const lines = await endOrphans(root, 0);
    expect(lines.map((line) => Number(line.split(" ")[0])).sort()).toEqual([byHome, byFolder].sort());
    expect(processesBelow(root)).toEqual([]);
    expect(processesBelow(other).map(({ pid }) => pid)).toEqual([elsewhere]);
    await endOrphans(other, 0);
  },
);
