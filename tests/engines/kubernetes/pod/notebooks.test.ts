import { expect, test } from "vitest";

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
