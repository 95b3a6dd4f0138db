import { expect, test } from "vitest";
import { Failure } from "../../../src/core/failure.ts";
import { SecretValue } from "../../../src/core/secret-value.ts";
import type { StageHereRequest } from "../../../src/operations/run-stage-here.ts";
import { rawControl } from "../support/control-characters.ts";
import { run } from "../support/terminal.ts";

const logLine = /^\[\d\d\/\d\d\/\d\d \d\d:\d\d:\d\d\] (INFO {5}|WARNING {2}|ERROR {4})/;

test("stage hands on what was asked, and this shell's ssh key", async () => {
  const asked: StageHereRequest[] = [];
  const key = new SecretValue("key");
  const wiring = {
    runStageHere: async (request: StageHereRequest) => void asked.push(request),
    environmentSshKey: () => key,
  };
  expect((await run("stage file:///p train 60 --branch=main", { wiring })).exitCode).toBe(0);
  expect((await run("stage --branch= file:///p train", { wiring })).exitCode).toBe(0);
  const same = { url: "file:///p", stage: "train", sshKey: key, folder: "/home/me" };
  expect(asked).toEqual([
    { ...same, branch: "main", timeoutSeconds: 60 },
    { ...same, branch: undefined, timeoutSeconds: 0 },
  ]);
});

test("stage prints the lines of the original's log, and the installer's text as it is", async () => {
  const { exitCode, stdout, stderr } = await run("stage u train", {
    wiring: {
      runStageHere: async (_request, { log, output }) => {
        log("INFO", "Starting stage = train");
        output("Using pip\n");
        log("WARNING", "odd \x1b[2J");
      },
    },
  });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  const [first = "", second, third = ""] = stdout.split("\n");
  expect(first).toMatch(logLine);
  expect(first).toMatch(/^\[2[34]\/11\/26 .* INFO {5}Starting stage = train$/);
  expect(second).toBe("Using pip");
  expect(third).toMatch(/ WARNING {2}odd /);
  expect(stdout).not.toMatch(rawControl);
});

test("stage exits with 1 and a line of the log when the stage failed", async () => {
  const failing = async () => {
    throw new Failure("stage-failed", 'CalledProcessError(3, ["python", "train.py"])', { hint: "Mend it." });
  };
  const { exitCode, stdout } = await run("stage u train", { wiring: { runStageHere: failing } });
  expect(exitCode).toBe(1);
  expect(stdout).toMatch(logLine);
  expect(stdout).toContain("ERROR    Stage train failed - CalledProcessError(3, ");
  expect(stdout).toMatch(/^Hint: Mend it\.$/m);
});

test("stage takes a number of seconds, as the original", async () => {
  const { exitCode, stderr } = await run("stage http://bad.repo master train");
  expect(exitCode).toBe(2);
  expect(stderr).toContain("Error: Invalid value for 'TIMEOUT': 'train' is not a valid integer.");
});
