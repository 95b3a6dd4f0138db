import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished, type TestContext } from "vitest";
import { runCommand } from "../../../src/lib/run-command.ts";
import { temporaryFolder } from "../../support/temporary.ts";

/** A folder on a disk of so many KiB; skips the test where only the administrator could make one. */
export async function smallDisk(context: TestContext, kilobytes: number): Promise<string> {
  const folder = join(temporaryFolder("disk"), "small");
  mkdirSync(folder);
  const env = { PATH: process.env.PATH ?? "" };
  const mounted = await runCommand("mount", ["-t", "tmpfs", "-o", `size=${kilobytes}k`, "tmpfs", folder], {
    env,
  });
  if (mounted.exitCode !== 0) context.skip("a small disk needs root: run the tests as root to see them full");
  // Before the folder goes.
  onTestFinished(async () => {
    await runCommand("umount", ["-l", folder], { env });
  });
  return folder;
}
