import { describe, expect, test } from "vitest";
import { commandGroups, commandTable } from "../../src/cli/command-table.ts";
import { readCommandLine } from "../../src/cli/read-command-line.ts";
import { rawControl } from "./support/control-characters.ts";
import { run } from "./support/terminal.ts";

describe("wrong usage exits with 2 and says on standard error what is wrong", () => {
  test.each([
    ["", "Missing command."],
    ["create", "Missing command."],
    ["create deployment", "Missing argument 'GIT_URL'."],
    ["delete deployment", "Missing argument 'NAME'."],
    ["foo", "No such command 'foo'. See: bodywork --help"],
    ["create foo", "No such command 'foo'. See: bodywork create --help"],
    ["server logs", "No such command 'logs'. See: bodywork server --help"],
    ["list", "No such command 'list'. Did you mean 'get'?"],
    ["secret list", "No such command 'list'. Did you mean 'get secrets'?"],
    ["secret create x", "No such command 'create'. Did you mean 'create secret'?"],
    ["secret rm x", "No such command 'rm'. Did you mean 'delete secret'?"],
    ["create deploymnt", "No such command 'deploymnt'. Did you mean 'deployment'?"],
    ["get deployments --foo", "No such option: --foo"],
    ["create deployment u --foo=bar", "No such option: --foo"],
    ["create deployment u --brnch main", "No such option: --brnch. Did you mean '--branch'?"],
    ["create deployment u -b main", "No such option: -b"],
    ["create deployment u --branch", "Option '--branch' requires an argument."],
    ["delete deployment d --yes=please", "Option '--yes' does not take a value."],
    ["create deployment u v", "Got unexpected extra argument (v)"],
    ["create deployment u C=d e", "Got unexpected extra arguments (C=d e)"],
    ["creat deployment u", "No such command 'creat'. Did you mean 'create'?"],
    [
      "deployments",
      "No such command 'deployments'. Did you mean 'create deployments', 'update deployments', 'get deployments' or 'delete deployments'?",
    ],
    ["--quiet get runs --quite", "No such option: --quite. Did you mean '--quiet'?"],
    ["--output json version", "No such option: --output"],
    ["get --yes runs", "No such option: --yes"],
    ["--output xml get runs", "Invalid value for '--output': 'xml' is not one of 'table', 'json', 'yaml'."],
    [
      "get runs --engine docker",
      "Invalid value for '--engine': 'docker' is not one of 'local', 'kubernetes'.",
    ],
    ["get runs --server=", "Invalid value for '--server': it is empty."],
    ["--token", "Option '--token' requires an argument."],
    ["version now", "Got unexpected extra argument (now)"],
    ["create deployment u --retries a", "Invalid value for '--retries': 'a' is not a valid integer."],
    ["create deployment u --retries=1.5", "Invalid value for '--retries': '1.5' is not a valid integer."],
    ["logs d --tail=-1", "Invalid value for '--tail': '-1' is less than 0."],
    ["debug soon", "Invalid value for 'SECONDS': 'soon' is not a valid integer."],
    [
      "create deployment u --timeout 0",
      "Invalid value for '--timeout': '0' is not a number of seconds above 0.",
    ],
    [
      "server start --listen 8080",
      "Invalid value for '--listen': '8080' is not of the form HOST:PORT, such as 127.0.0.1:8080.",
    ],
    [
      "server start --listen h:65536",
      "Invalid value for '--listen': 'h:65536' is not of the form HOST:PORT, such as 127.0.0.1:8080.",
    ],
    ["get runs --output xml", "Invalid value for '--output': 'xml' is not one of 'table', 'json', 'yaml'."],
    [
      "completion tcsh",
      "Invalid value for 'SHELL': 'tcsh' is not one of 'bash', 'zsh', 'fish', 'powershell'.",
    ],
    ["create deployment u --detach --timeout 5", "Option '--detach' cannot be used with '--timeout'."],
  ])("bodywork %s", async (line, message) => {
    const { exitCode, stdout, stderr } = await run(line);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    const [usage, tryHelp, empty, error, end] = stderr.split("\n");
    expect(usage).toMatch(/^Usage: bodywork .*\[options\]/);
    expect(tryHelp).toMatch(/^Try 'bodywork.* --help' for help\.$/);
    expect([empty, error, end]).toEqual(["", `Error: ${message}`, ""]);
  });

  test("with the usage of the command that was meant", async () => {
    const { stderr } = await run("get deployment a b c");
    expect(stderr).toBe(
      "Usage: bodywork get deployment [options] [NAME] [SERVICE]\nTry 'bodywork get deployment --help' for help.\n\nError: Got unexpected extra argument (c)\n",
    );
  });

  test("also when a script's variable is empty where an argument must be", async () => {
    const { exitCode, stderr } = await run(["create", "deployment", ""]);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: expect.stringContaining("Error: Invalid value for 'GIT_URL': it is empty.\n"),
    });
  });

  test("without control characters of what was typed", async () => {
    const { stderr } = await run(["\x1b[31mred"]);
    expect(stderr).toContain("No such command '\\x1b[31mred'.");
    expect(stderr).not.toMatch(rawControl);
  });
});

describe("--help exits with 0 and prints to standard output", () => {
  const paths = [
    "",
    ...commandGroups.map(({ words }) => words.join(" ")),
    ...commandTable.map(({ words }) => words.join(" ")),
  ];

  test.each(paths)("bodywork %s --help", async (path) => {
    const { exitCode, stdout, stderr } = await run(`${path} --help`);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`^Usage: bodywork ${path}`.trim()));
  });

  test.each([
    ["-h", "--help"],
    ["help", "--help"],
    ["help create", "create --help"],
    ["create deployment -h", "create deployment --help"],
    ["help create deployment", "create deployment --help"],
  ])("may be asked for as %s", async (asked, same) => {
    expect(await run(asked)).toEqual(await run(same));
  });

  test("of the tool lists every command but the hidden ones", async () => {
    const { stdout } = await run("--help");
    const listed = [...stdout.matchAll(/^ {2}([a-z][a-z-]*) {2,}/gm)].map(([, word]) => word);
    const shown = commandTable.filter(({ hidden }) => !hidden).map(({ words }) => words[0]);
    expect(new Set(listed)).toEqual(new Set(shown));
    expect(stdout).not.toMatch(/debug|stage /);
  });

  test("of a command lists its arguments, options and examples, and no hidden option", async () => {
    const { stdout } = await run("create deployment --help");
    expect(stdout).toContain("Usage: bodywork create deployment [options] GIT_URL");
    for (const option of ["--branch <BRANCH>", "--ssh <PATH>", "--output <FORMAT>", "--detach"]) {
      expect(stdout).toContain(option);
    }
    expect(stdout).toContain("(table, json, yaml) (default: table)");
    expect(stdout).toContain("Example:\n  bodywork create deployment https://");
    expect(stdout).not.toContain("--bodywork-image");
  });

  test("may stand after what would be wrong without it", async () => {
    expect((await run("create deployment --help")).exitCode).toBe(0);
    expect((await run("create deployment --branch main --help")).exitCode).toBe(0);
  });

  test("is wrapped for a terminal and not elsewhere", async () => {
    const longest = (text: string): number => Math.max(...text.split("\n").map((line) => line.length));
    const piped = await run("create deployment --help");
    expect(longest(piped.stdout)).toBeGreaterThan(150);
    const shown = await run("create deployment --help", {}, { terminal: true, columns: 80 });
    const ownLines = shown.stdout.split("Example:")[0] as string;
    expect(longest(ownLines)).toBeLessThanOrEqual(80);
  });
});

describe("a command line", () => {
  test.each([
    "--branch main --strict https://forge.test/p",
    "https://forge.test/p --branch main --strict",
    "https://forge.test/p --branch=main --strict",
    "--branch=main https://forge.test/p --strict",
    "--strict --branch main -- https://forge.test/p",
  ])("means the same with its options before and after the arguments: %s", (words) => {
    const { spec, input } = command(`create deployment ${words}`);
    expect(spec.words).toEqual(["create", "deployment"]);
    expect(input.required("GIT_URL")).toBe("https://forge.test/p");
    expect(input.text("branch")).toBe("main");
    expect(input.flag("strict")).toBe(true);
    expect(input.flag("detach")).toBe(false);
  });

  test.each([
    "--server https://b.test --quiet --output json --yes delete deployment d",
    "delete --server https://b.test --quiet --output json --yes deployment d",
    "delete deployment --server https://b.test --quiet --output json --yes d",
    "delete deployment d --server=https://b.test --quiet --output=json --yes",
    "--quiet delete --yes deployment --output json d --server https://b.test",
  ])("takes the options of every command before its words and after them: %s", (line) => {
    const { spec, input, connection } = command(line);
    expect(spec.words).toEqual(["delete", "deployment"]);
    expect(input.required("NAME")).toBe("d");
    expect([input.flag("quiet"), input.flag("yes"), input.text("output")]).toEqual([true, true, "json"]);
    expect(connection).toEqual({ server: "https://b.test", token: undefined, engine: undefined });
  });

  test("heeds, of an option that stands before and after its words, the one that stands after", () => {
    expect(command("--server a get --server b runs --server c").connection.server).toBe("c");
    expect(command("--output yaml get runs --output json").input.text("output")).toBe("json");
    expect(command("--engine local get runs").connection.engine).toBe("local");
  });

  test("holds the token as a value that refuses to be printed", () => {
    const { connection } = command("get runs --token bw_1234");
    expect(JSON.stringify(connection)).not.toContain("1234");
    expect(connection.token?.reveal()).toBe("bw_1234");
  });

  test.each(
    commandTable.flatMap(({ words, plural }) => (plural === undefined ? [] : [[words, plural] as const])),
  )("may say the plural: %s, %s", (words, plural) => {
    const singular = readCommandLine([...words, "--help"], undefined);
    const several = readCommandLine([...words.slice(0, -1), plural, "--help"], undefined);
    expect(several).toEqual(singular);
  });

  test("gives what was left out its default", () => {
    expect(command("get runs").input.number("limit")).toBe(20);
    expect(command("get runs").input.text("output")).toBe("table");
    expect(command("get runs").input.optional("NAME_OR_ID")).toBeUndefined();
    expect(command("debug").input.optional("SECONDS")).toBe("600");
    expect(command("validate").input.text("file")).toBe("bodywork.yaml");
    expect(command("create deployment u").input.text("branch")).toBeUndefined();
  });

  test("keeps values as they are: an equals sign, a leading hyphen, nothing", () => {
    expect(command("create deployment u --branch=a=b").input.text("branch")).toBe("a=b");
    expect(command("create deployment u --branch --odd").input.text("branch")).toBe("--odd");
    expect(command("create deployment u --branch=").input.text("branch")).toBe("");
  });

  test("takes the last of an option that is given twice", () => {
    expect(command("create deployment u --branch a --branch b").input.text("branch")).toBe("b");
    expect(command("validate --check-files --no-check-files").input.flag("check-files")).toBe(false);
    expect(command("validate --no-check-files --check-files").input.flag("check-files")).toBe(true);
    expect(command("validate").input.flag("check-files")).toBe(false);
  });

  test("takes fractions of seconds, and addresses by name and by IPv6", () => {
    expect(command("create deployment u --timeout 1.5").input.number("timeout")).toBe(1.5);
    expect(command("server start --listen localhost:8080").input.text("listen")).toBe("localhost:8080");
    expect(command("server start --listen [::1]:8080").input.text("listen")).toBe("[::1]:8080");
  });

  test("has no input that its row of the table does not have", () => {
    const { input } = command("version");
    expect(() => input.text("branch")).toThrow('"version" has no option --branch');
    expect(() => input.optional("NAME")).toThrow('"version" has no argument NAME');
    expect(() => input.texts("server")).toThrow('"version" takes --server once');
  });
});

function command(line: string) {
  const read = readCommandLine(line.split(" "), undefined);
  if (read.kind !== "command") throw new Error(`${line} is no command: ${JSON.stringify(read)}`);
  return read;
}
