import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createUvEnvironments } from "../../../src/environments/uv-environments.ts";
import { type CommandResult, runCommand } from "../../../src/lib/run-command.ts";
import type { Environment } from "../../../src/ports/environments.ts";
import { settled } from "../../environments/support/machine.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const runner = fileURLToPath(new URL("../../../src/engines/local/run_notebook.py", import.meta.url));
const top = realpathSync(mkdtempSync(join(tmpdir(), "notebooks-")));
let environment: Environment;

beforeAll(async () => {
  const variables = Object.entries(process.env).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, value]],
  );
  const environments = createUvEnvironments({
    folder: join(top, "environments"),
    toolsFolder: join(top, "tools"),
    environment: Object.fromEntries(variables),
    startupPth: "",
  });
  const wanted = { requirements: [], requirementsFile: undefined, python: undefined, notebook: true };
  environment = await environments.prepare(wanted);
}, 300_000);

afterAll(async () => {
  await settled(join(top, "environments"));
  rmSync(top, { recursive: true, force: true, maxRetries: 3 });
}, 60_000);

/** A text is a code cell; one in a list is Markdown. */
type Cell = string | readonly [string];

interface NotebookRun {
  readonly folder: string;
  readonly result: CommandResult;
  /** Undefined when none was saved. */
  readonly html: string | undefined;
}

async function runNotebook(
  cells: readonly Cell[],
  options: {
    readonly args?: readonly string[];
    readonly kernel?: string;
    readonly home?: string;
    readonly secrets?: Readonly<Record<string, string>>;
    readonly onOutput?: (text: string) => void;
  } = {},
): Promise<NotebookRun> {
  const folder = temporaryFolder("notebook");
  const notebook = {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {
      kernelspec: { name: options.kernel ?? "python3", display_name: "Python", language: "python" },
    },
    cells: cells.map((cell, index) =>
      typeof cell === "string"
        ? {
            id: `c${index}`,
            cell_type: "code",
            metadata: {},
            source: cell,
            outputs: [],
            execution_count: null,
          }
        : { id: `c${index}`, cell_type: "markdown", metadata: {}, source: cell[0] },
    ),
  };
  writeFileSync(join(folder, "stage.ipynb"), JSON.stringify(notebook));
  const html = join(folder, "out.html");
  const secrets = options.secrets ?? {};
  const masked = JSON.stringify(Object.keys(secrets));
  const result = await runCommand(
    environment.python,
    [runner, join(folder, "stage.ipynb"), html, masked, ...(options.args ?? [])],
    {
      env: { PATH: process.env.PATH ?? "", HOME: options.home ?? folder, ...secrets },
      cwd: "/",
      timeout: 60_000,
      ...(options.onOutput === undefined ? {} : { onOutput: options.onOutput }),
    },
  );
  return { folder, result, html: existsSync(html) ? readFileSync(html, "utf8") : undefined };
}

test("what cells print is shown, and all of it is in the HTML; arguments and folder are as for a module", async () => {
  const { folder, result, html } = await runNotebook(
    [
      ["# A heading"],
      "import os, sys\nprint(sys.argv[1:], os.getcwd())",
      "print('to the error stream', file=sys.stderr)",
      "{'answer': 6 * 7}",
    ],
    { args: ["--rate", "it's 0.1"] },
  );
  expect(result.exitCode, result.stderr).toBe(0);
  expect(result.stdout).toBe(`['--rate', "it's 0.1"] ${folder}\n{'answer': 42}\n`);
  expect(result.stderr).toContain("to the error stream");
  for (const text of ["A heading", "--rate", "to the error stream", "42"]) expect(html).toContain(text);
});

test("a cell that fails is shown by its number, source and reason, and the HTML shows it too", async () => {
  const { result, html } = await runNotebook([
    ["Text"],
    "print('before')",
    "def deeper(x):\n    return 1 / x\n\ndeeper(0)",
    "print('never')",
  ]);
  expect(result.exitCode).toBe(1);
  expect(result.stdout).toBe("before\n");
  expect(result.stderr).toContain(
    "Cell 3 failed:\n    def deeper(x):\n        return 1 / x\n    \n    deeper(0)\n",
  );
  expect(result.stderr).toContain("return 1 / x");
  expect(result.stderr.trimEnd().split("\n").at(-1)).toBe("ZeroDivisionError: division by zero");
  expect(result.stderr).not.toContain("\x1b");
  expect(html).toContain("ZeroDivisionError");
  expect(html).toContain("before");
});

test("a kernel that is killed fails the stage in the cell that it worked on, and what was done is saved", async () => {
  const { result, html } = await runNotebook([
    "print('before')",
    "import os, signal\nos.kill(os.getpid(), 9)",
  ]);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toMatch(/Cell 2 failed:\n {4}import os, signal[\s\S]*Kernel died/);
  expect(html).toContain("before");
});

test("the HTML has *** for every secret, however its cell has shown it, and pictures are left alone", async () => {
  const secrets = { TOKEN: `canary-1 <&"'> canary-2`, SHORT: "abc", PICTURE: "iVBOR" };
  const { result, html } = await runNotebook(
    [
      'import base64, os, sys, time\nfrom IPython.display import HTML, display\nvalue = os.environ["TOKEN"]',
      'print("whole:", value)',
      'print("in two:", value[:9], end="", flush=True)\ntime.sleep(0.5)\nprint(value[9:])',
      'print("base64:", base64.b64encode(value.encode()).decode(), file=sys.stderr)',
      "value",
      'import html\ndisplay(HTML("<b>shown: %s</b>" % html.escape(value)))',
      'pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="',
      'display({"image/png": pixel}, raw=True)',
      'raise ValueError("abc and " + value)',
    ],
    { secrets },
  );
  expect(result.exitCode).toBe(1);
  expect(html?.match(/.{0,30}canary.{0,30}/g) ?? []).toEqual([]);
  expect(html?.includes(Buffer.from(secrets.TOKEN).toString("base64").slice(0, -4))).toBe(false);
  for (const text of ["whole: ***\n", "in two: ***\n", "base64: ***", "shown: ***", "abc and ***"]) {
    expect(html?.includes(text), text).toBe(true);
  }
  expect(html?.includes("data:image/png;base64,iVBORw0KGgo")).toBe(true);
  expect(existsSync(join(dirname(runner), "__pycache__"))).toBe(false);
});

test("output comes while the cells run", async () => {
  const seen: string[] = [];
  const { result } = await runNotebook(
    ["import time\nfor i in range(3):\n    print('step', i, flush=True)\n    time.sleep(0.5)"],
    { onOutput: (text) => seen.push(text) },
  );
  expect(result.stdout).toBe("step 0\nstep 1\nstep 2\n");
  expect(seen.filter((text) => text.includes("step")).length).toBeGreaterThan(1);
});

test("a kernel of the machine's user, who has other packages, is never taken for the environment's", async () => {
  const home = temporaryFolder("home");
  for (const name of ["python3", "mine"]) {
    const folder = join(home, ".local/share/jupyter/kernels", name);
    mkdirSync(folder, { recursive: true });
    const spec = { argv: ["/no/such/python", "{connection_file}"], display_name: name, language: "python" };
    writeFileSync(join(folder, "kernel.json"), JSON.stringify(spec));
  }
  for (const kernel of ["mine", "python3", "unknown"]) {
    const { result } = await runNotebook(["import sys\nprint(sys.prefix)"], { home, kernel });
    expect(result.exitCode, result.stderr).toBe(0);
    expect(result.stdout).toBe(`${environment.folder}\n`);
  }
});
