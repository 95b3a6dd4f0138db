import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { completeWords, completionScript, completionShells } from "../../src/cli/completion.ts";
import { runCommand } from "../../src/lib/run-command.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { run } from "./support/terminal.ts";

describe("the script of a shell", () => {
  test.each(completionShells)("completes both names of the tool by asking it: %s", async (shell) => {
    const { exitCode, stdout, stderr } = await run(`completion ${shell}`);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toMatch(/bodywork complete '?--'?/);
    expect(stdout).toMatch(/\bbw\b/);
    expect(stdout).toBe(completionScript(shell));
  });

  test("completes in a bash that knows nothing else, and evaluates nothing that was typed", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "script"), completionScript("bash"));
    // A bodywork that says how it was asked, and offers three words.
    const script = [
      'bodywork() { echo "$@" >>asked; printf "deployment\\tDeploy\\njson\\t\\n--branch\\tBranch\\n:4\\n"; }',
      "source ./script",
      "source ./script", // As a shell does that reads its settings again.
      'complete -p bw | grep -o "\\-F [a-z_]*"',
      "try() { COMP_LINE=$1 COMP_POINT=$2; __bodywork_complete; echo $COMPREPLY; }",
      "try 'bodywork create de' 18",
      "try 'bodywork create de --later' 18",
      "try 'bodywork get runs --output=js' 29",
      "try 'bodywork create deployment $(touch evil) --b' 44",
      "try 'bodywork get ' 13",
      "cat asked",
      "ls",
    ].join("\n");
    const { stdout, stderr } = await runCommand("bash", ["-c", script], {
      env: { PATH: process.env.PATH ?? "" },
      cwd: folder,
    });
    expect(stderr).toBe("");
    expect(stdout.split("\n")).toEqual([
      "-F __bodywork_complete",
      ...["deployment", "deployment", "json", "--branch", "deployment"],
      "complete -- create de",
      "complete -- create de",
      "complete -- get runs --output=js",
      "complete -- create deployment $(touch evil) --b",
      "complete -- get ",
      ...["asked", "script", ""],
    ]);
  });
});

describe("after a few words", () => {
  test.each([
    [["cre"], ["create"]],
    [
      ["create", "d"],
      ["deployment", "deployments"],
    ],
    [
      ["get", "r"],
      ["run", "runs"],
    ],
    [
      ["server", "st"],
      ["start", "status", "stop"],
    ],
    [
      ["get", "runs", "--output", ""],
      ["json", "table", "yaml"],
    ],
    [["completion", "f"], ["fish"]],
    [["server", "tok"], ["token"]],
    [["server", "token", "re"], ["revoke"]],
    [["server", "token", "revoke", "--q"], ["--quiet"]],
    [["validate", "--no"], ["--no-check-files"]],
    [["create", "deployment", "--ti"], ["--timeout"]],
    [["version", "--q"], ["--quiet"]],
    [
      ["get", "runs", "--engine", ""],
      ["kubernetes", "local"],
    ],
  ])("%j may be followed by %j", (words, offered) => {
    expect(offeredAfter(words)).toEqual(offered);
  });

  test("hidden commands and options are not offered", () => {
    expect(offeredAfter([""])).not.toContain("debug");
    expect(offeredAfter(["st"])).toEqual([]);
    expect(offeredAfter(["create", "deployment", "--"])).toContain("--branch");
    expect(offeredAfter(["create", "deployment", "--"])).not.toContain("--bodywork-image");
  });

  test("the tool answers a shell that asks", async () => {
    const { exitCode, stdout } = await run(["complete", "--", "get", "dep"]);
    expect(exitCode).toBe(0);
    expect(stdout).toBe(completeWords(["get", "dep"]));
    expect(stdout).toMatch(/^deployment\tShow deployments and their services$/m);
  });
});

function offeredAfter(words: readonly string[]): readonly string[] {
  return completeWords(words)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith(":"))
    .map((line) => line.split("\t")[0] as string)
    .toSorted();
}
