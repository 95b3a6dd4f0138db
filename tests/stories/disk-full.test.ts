import { existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCommand } from "../../src/lib/run-command.ts";
import { bodywork } from "../support/bodywork.ts";
import { makeProject } from "../support/git-project.ts";
import { trainAndServe } from "../support/pipelines.ts";
import { steadyLoad } from "../support/steady-load.ts";
import { temporaryFolder } from "../support/temporary.ts";

const program = (name: string, ...args: readonly string[]) =>
  runCommand(name, args, { env: { PATH: process.env.PATH ?? "" }, timeout: 30_000 });

test("a full disk fails a deploy in plain words, the live release serves on, and once there is room the next deploy works", async ({
  skip,
}) => {
  const tool = bodywork();
  mkdirSync(tool.home, { mode: 0o700 });
  const mounted = await program("mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs", tool.home);
  skip(mounted.exitCode !== 0, `a small file system can't be mounted (root can): ${mounted.stderr.trim()}`);
  try {
    const project = await makeProject({ files: trainAndServe("one"), path: temporaryFolder("project") });
    const first = await tool.run("create", "deployment", project.url);
    expect(first.exitCode, first.stdout + first.stderr).toBe(0);
    const load = steadyLoad(`${(await tool.service("story", "serve")).url}/`, 2, 5);
    await project.commit(trainAndServe("two", { "data.bin": new Uint8Array(4_000_000).fill(1) }));
    const ballast = join(tool.home, "ballast");

    // For the store there is room, for a working copy there is not; then for nothing.
    for (const left of [2_000_000, 0]) {
      fill(ballast, tool.home, left);
      const failed = await tool.run("create", "deployment", project.url);
      const said = failed.stdout + failed.stderr;
      expect(failed.exitCode, said).toBe(1);
      expect(said).toContain("the disk is full");
      expect(said).not.toContain("fault of Bodywork");
      rmSync(ballast);
    }

    const next = await tool.run("create", "deployment", project.url);
    expect(next.exitCode, next.stdout + next.stderr).toBe(0);
    const { failures, answers } = await load.stop();
    expect(Object.fromEntries(failures)).toEqual({});
    expect([...answers.keys()]).toEqual(["one", "two"]);
    expect((await tool.runs()).filter(({ status }) => status !== "succeeded" && status !== "failed")).toEqual(
      [],
    );
  } finally {
    const { exitCode, stderr } = await tool.run("server", "stop", "--services");
    const unmounted = await program("umount", tool.home);
    expect([exitCode, unmounted.exitCode], stderr + unmounted.stderr).toEqual([0, 0]);
    expect(existsSync(join(tool.home, "store.db"))).toBe(false);
    rmSync(tool.home, { recursive: true });
  }
}, 180_000);

/** Writes a file that leaves so many bytes of the file system. */
function fill(file: string, folder: string, left: number): void {
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(file, new Uint8Array(Math.max(0, bavail * bsize - left)));
}
