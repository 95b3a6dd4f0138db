import { join } from "node:path";
import { expect, test } from "vitest";
import { runCommand } from "../../src/lib/run-command.ts";
import { aMachine, pathWithoutUv, python, request } from "./support/machine.ts";
import { makeWheel } from "./support/packages.ts";

test("where uv can't be had pip builds the environment, says so, and refuses what can't be had", async () => {
  const machine = aMachine({ PATH: pathWithoutUv });
  makeWheel(machine.packages, "base", "2.0", {
    files: { "base.py": "def main():\n    print('run')\n" },
    scripts: { "run-base": "base:main" },
  });
  const output: string[] = [];
  const made = await machine.environments.prepare(request(["base>=1"]), {
    onOutput: (text) => output.push(text),
  });
  expect(made.lock).toContain("base==2.0");
  expect(made.warnings).toEqual([expect.stringMatching(/^Built by pip, for uv can't be had: .*uv/)]);
  expect(output.join("")).toMatch(/Installing uv .*once[\s\S]*Built by pip[\s\S]*Successfully installed/);
  expect(await python(made, "import base, sys; print(sys.started_by)")).toBe("bodywork");
  expect((await runCommand(join(made.folder, "bin/run-base"), [], { env: {} })).stdout).toBe("run\n");
  await expect(machine.environments.prepare(request(["base==9"]))).rejects.toMatchObject({
    code: "environment-failed",
    message: 'pip could not install "base==9".',
    details: expect.arrayContaining([expect.stringMatching(/ERROR/)]),
  });
}, 60_000);
