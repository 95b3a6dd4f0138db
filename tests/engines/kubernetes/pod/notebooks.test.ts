import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { expect, test } from "vitest";

import { runCommand } from "../../../../src/lib/run-command.ts";
import { hasUv } from "../../../environments/support/machine.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { machineVariables } from "../../local/name-hook/support/environment.ts";
import { makePod } from "./support.ts";

function notebook(...cells: readonly string[]): string {
  const code = cells.map((source, index) => ({
    id: `c${index}`,
    cell_type: "code",
    metadata: {},
    source,
    outputs: [],
    execution_count: null,
  }));
  const kernelspec = { name: "some-other-kernel", display_name: "Python", language: "python" };
  return JSON.stringify({ nbformat: 4, nbformat_minor: 5, metadata: { kernelspec }, cells: code });
}

test("a notebook runs cell by cell with its arguments, sees its packages, and fails where a cell does", async () => {
  const pod = await makePod({
    "steps/train.ipynb": notebook(
      "import sys, os, six\nprint('args', sys.argv[1:], os.path.basename(os.getcwd()), six.__version__)",
      "1 / 0",
      "print('never')",
    ),
    "steps/good.ipynb": notebook("import os\nopen('model', 'w').write('1')"),
  });
  // The machine's index, as an image's own settings name it.
  const { HOME: _, ...variables } = machineVariables();
  const specification = { module: "steps/train.ipynb", args: ["a b"], requirements: ["six==1.17.0"] };
  const failed = await pod.run({ specification, variables: { ...variables, PIP_NO_INDEX: "" } });
  expect(failed.log).toContain("INFO     Attempting to run notebook = steps/train.ipynb\n");
  expect(failed.log).toContain("args ['a b'] steps 1.17.0\n");
  expect(failed.log).toContain("ZeroDivisionError: division by zero\n");
  expect(failed.log).not.toContain("never\n");
  expect(failed.report).toMatchObject({ status: "failed", reason: "exit 1", phase: "module" });
  const good = await pod.run({
    specification: {
      ...specification,
      module: "steps/good.ipynb",
      outputs: { model: "model" },
      storage: { kind: "claim" },
    },
    variables: { ...variables, PIP_NO_INDEX: "" },
  });
  expect(good.report).toMatchObject({ status: "succeeded", outputs: [{ name: "model", bytes: 1 }] });
  expect(good.report?.environmentSeconds).toBe(0);
}, 300_000);

test.skipIf(!hasUv)(
  "a notebook in an image that can run notebooks sees what was installed beside the image's packages",
  async () => {
    const image = join(temporaryFolder("image"), "venv");
    const { HOME: _, ...variables } = machineVariables();
    for (const args of [
      ["venv", "--quiet", image],
      [
        "pip",
        "install",
        "--quiet",
        "--system-certs",
        "--python",
        join(image, "bin/python"),
        "nbclient",
        "nbconvert",
        "ipykernel",
      ],
    ]) {
      const done = await runCommand("uv", args, { env: machineVariables() });
      if (done.exitCode !== 0) throw new Error(done.stderr);
    }
    const pod = await makePod({ "train.ipynb": notebook("import six\nprint('six', six.__version__)") });
    // As `ipykernel install` leaves it: with the full path of the image's Python.
    const kernel = join(image, "share/jupyter/kernels/python3");
    rmSync(kernel, { recursive: true });
    mkdirSync(kernel);
    const argv = [join(image, "bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"];
    writeFileSync(
      join(kernel, "kernel.json"),
      JSON.stringify({ argv, display_name: "P", language: "python" }),
    );
    const { log, exitCode } = await pod.run({
      specification: { module: "train.ipynb", requirements: ["six==1.17.0"] },
      variables: {
        ...variables,
        PATH: [join(image, "bin"), variables.PATH].join(delimiter),
        PIP_NO_INDEX: "",
      },
    });
    expect(log).toContain("\nsix 1.17.0\n");
    expect(exitCode).toBe(0);
    const [key = ""] = readdirSync(join(pod.cache, "environments"));
    const installed = readdirSync(join(pod.cache, "environments", key, "lib"), { recursive: true }).map(
      String,
    );
    expect(installed.filter((name) => name.endsWith(".dist-info"))).toHaveLength(1);
  },
  300_000,
);
