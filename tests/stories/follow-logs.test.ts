import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bodywork } from "../support/bodywork.ts";
import { makeProject } from "../support/git-project.ts";
import { batch, projectFile } from "../support/pipelines.ts";
import { temporaryFolder } from "../support/temporary.ts";

test("whoever follows a batch pipeline sees each stage as it comes, and is let go when the run has ended", async () => {
  const tool = bodywork();
  const gate = join(temporaryFolder("gate"), "open");
  const waiting = ["import os, time", `while not os.path.exists(${JSON.stringify(gate)}): time.sleep(0.05)`];
  const project = await makeProject({
    files: {
      "bodywork.yaml": projectFile({
        name: "story",
        dag: "first >> second",
        stages: { first: batch(), second: batch() },
      }),
      "first.py": ['print("first began", flush=True)', ...waiting].join("\n"),
      "second.py": 'print("second came")',
    },
    path: temporaryFolder("project"),
  });
  const deploying = tool.start("create", "deployment", project.url);
  await deploying.shown("first began");
  const following = tool.start("logs", "story", "--follow");
  await following.shown("first began");
  writeFileSync(gate, "");
  const followed = await following.finished;
  expect([followed.exitCode, followed.stderr]).toEqual([0, ""]);
  expect(followed.stdout).toContain("second came");
  expect((await deploying.finished).exitCode).toBe(0);

  const [run] = await tool.runs();
  for (const more of [[], ["--run", run?.id ?? ""]]) {
    const { exitCode, stdout } = await tool.run("logs", "story", "--follow", ...more);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("first began");
    expect(stdout).toContain("second came");
  }
}, 120_000);
