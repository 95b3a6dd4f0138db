import { expect, test } from "vitest";
import { projectJsonSchema } from "../../src/core/json-schema.ts";
import { batchStage, fileWith } from "../core/support/project-file.ts";
import { run, type TerminalOptions } from "./support/terminal.ts";

interface Given {
  /** Path as it is asked for → content. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  /** What lies beside it. */
  readonly beside?: readonly string[];
  readonly options?: TerminalOptions;
}

function validate(line: string, { files, beside = [], options }: Given): ReturnType<typeof run> {
  const readProjectFile = async (path: string) => {
    const content = files[path];
    return content === undefined
      ? undefined
      : { bytes: Buffer.from(content), has: (named: string) => beside.includes(named) };
  };
  return run(`validate ${line}`, { wiring: { readProjectFile } }, options);
}

const at = (content: string | Uint8Array): Given => ({ files: { "/home/me/bodywork.yaml": content } });

test("a valid file gets the original's line and 0", async () => {
  const found = await validate("", at(fileWith()));
  expect(found).toMatchObject({
    exitCode: 0,
    stdout: "--> bodywork.yaml is a valid Bodywork config file.\n",
    stderr: "",
  });
});

test("--file is relative to the working folder and shown as given", async () => {
  const found = await validate("--file ../you/p.yaml", { files: { "/home/you/p.yaml": fileWith() } });
  expect(found.stdout).toBe("--> ../you/p.yaml is a valid Bodywork config file.\n");
});

test("a file that is not there is said to be missing", async () => {
  const found = await validate("--file nowhere.yaml", { files: {} });
  expect(found).toMatchObject({
    exitCode: 1,
    stdout: "--> No config file found at nowhere.yaml\n",
    stderr: "",
  });
});

test("errors are listed in the original's form, sorted, each with its place", async () => {
  const file = fileWith({ "pipeline.DAG": "nobody", "stages.measure.args": "[1]", "logging.log_level": "x" });
  const found = await validate("", at(file));
  expect(found.exitCode).toBe(1);
  expect(found.stdout.split("\n").slice(0, 4)).toEqual([
    "Missing or invalid parameters found in bodywork.yaml:",
    "* logging.log_level -> unallowed value x (bodywork.yaml:25:14)",
    "* pipeline.workflow -> cannot find valid stage @ stages.nobody (bodywork.yaml:5:8)",
    '* stages.measure.args -> [{"0": ["must be of string type"]}] (bodywork.yaml:14:12)',
  ]);
});

test.each([
  ["", /^--> Cannot parse YAML from bodywork.yaml: it holds nothing\n$/],
  ["a: [", /^--> Cannot parse YAML from bodywork.yaml: .+ \(bodywork.yaml:1:5\)\n$/],
  [
    "{}",
    /^--> Bodywork config file missing sections: version, pipeline, stages, logging \(bodywork.yaml:1:1\)\n$/,
  ],
  [
    fileWith({ version: '"0.1"' }),
    /^--> Bodywork config file has schema version 0.1, when Bodywork version \S+ requires schema version 1.1 \(bodywork.yaml:1:10\)\n$/,
  ],
  [
    fileWith({ version: "true" }),
    /^Missing or invalid parameters found in bodywork.yaml:\n\* version \(bodywork.yaml:1:10\)\n$/,
  ],
])("what is wrong with a file as a whole is one line", async (content, report) => {
  const found = await validate("", at(content));
  expect(found.exitCode).toBe(1);
  expect(found.stdout).toMatch(report);
});

test("bytes that are no text are a report", async () => {
  const found = await validate("", at(Uint8Array.of(0x61, 0x3a, 0x20, 0xff)));
  expect(found).toMatchObject({
    exitCode: 1,
    stdout: "--> Cannot parse YAML from bodywork.yaml: the file is not in UTF-8 (bodywork.yaml:1:1)\n",
  });
});

test("--check-files looks for modules beside the file, and --no-check-files does not", async () => {
  const given = { ...at(fileWith()), beside: ["tides/measure.py"] };
  const checked = await validate("--check-files", given);
  expect(checked).toMatchObject({
    exitCode: 1,
    stdout:
      "Missing or invalid parameters found in bodywork.yaml:\n* stages.forecast.executable_module_path -> does not exist (bodywork.yaml:15:29)\n",
  });
  expect((await validate("--check-files --no-check-files", given)).exitCode).toBe(0);
  expect((await validate("", given)).exitCode).toBe(0);
});

const odd = fileWith({ "stages.measure.memory_request_md": "5", "stages.spare": batchStage() });

test("warnings come below the verdict and do not change it", async () => {
  const found = await validate("", at(odd));
  expect(found.exitCode).toBe(0);
  expect(found.stdout).toBe(
    "--> bodywork.yaml is a valid Bodywork config file.\n" +
      "Warning: stages.measure.memory_request_md -> unknown key, ignored; did you mean memory_request_mb? (bodywork.yaml:14:5)\n" +
      "Warning: stages.spare -> runs in no step: pipeline.DAG does not name it (bodywork.yaml:24:3)\n",
  );
});

test("with --strict a warning is an error", async () => {
  const found = await validate("--strict", at(odd));
  expect(found.exitCode).toBe(1);
  expect(found.stdout).toMatch(
    /^--> bodywork.yaml has warnings, which --strict takes for errors.\nWarning: /,
  );
  expect((await validate("--strict", at(fileWith()))).exitCode).toBe(0);
});

test("--output json gives the file, the verdict and every problem with its place", async () => {
  const found = await validate("--output json", at(odd));
  expect(found).toMatchObject({ exitCode: 0, stderr: "" });
  expect(JSON.parse(found.stdout)).toEqual({
    file: "bodywork.yaml",
    valid: true,
    problems: [
      {
        severity: "warning",
        code: "unknown-key",
        path: "stages.measure.memory_request_md",
        message: "stages.measure.memory_request_md -> unknown key, ignored; did you mean memory_request_mb?",
        line: 14,
        column: 5,
      },
      expect.objectContaining({ code: "stage-unused", line: 24 }),
    ],
  });
  const strict = await validate("--output json --strict", at(odd));
  expect(strict.exitCode).toBe(1);
  expect(JSON.parse(strict.stdout)).toMatchObject({ valid: false });
  const missing = await validate("--output json", { files: {} });
  expect(missing.exitCode).toBe(1);
  expect(JSON.parse(missing.stdout)).toMatchObject({
    valid: false,
    problems: [{ code: "file-missing", path: "" }],
  });
});

test("nothing is wrapped, and square brackets stay", async () => {
  const long = "x".repeat(400);
  const found = await validate("", {
    ...at(fileWith({ "pipeline.DAG": `"[bold]${long}"` })),
    options: { columns: 80, terminal: true },
  });
  expect(found.stdout).toContain(
    `* pipeline.workflow -> cannot find valid stage @ stages.[bold]${long} (bodywork.yaml:5:8)\n`,
  );
});

test("control characters of a file never reach the terminal", async () => {
  const found = await validate(
    "",
    at(fileWith({ "pipeline.DAG": '"\\e]0;title\\a\\u202e"', "logging.log_level": '"\\e[2J"' })),
  );
  expect(found.stdout).toContain("unallowed value \\x1b[2J (");
  expect(found.stdout).toContain("stages.\\x1b]0;title\\x07\\u202e (");
  expect(found.stdout).not.toContain("\x1b");
});

test("wrong usage exits with 2", async () => {
  expect((await validate("--nope", at(fileWith()))).exitCode).toBe(2);
  expect((await validate("extra", at(fileWith()))).exitCode).toBe(2);
  expect((await validate("--file", at(fileWith()))).exitCode).toBe(2);
});

test("schema prints the JSON Schema, which the generated file is too", async () => {
  const found = await run("schema");
  expect(found).toMatchObject({ exitCode: 0, stderr: "" });
  expect(JSON.parse(found.stdout)).toEqual(JSON.parse(JSON.stringify(projectJsonSchema())));
});
