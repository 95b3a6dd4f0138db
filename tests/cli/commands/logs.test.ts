import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { runCli } from "../../../src/cli/run-cli.ts";
import { Failure } from "../../../src/core/failure.ts";
import type { LogsRequest, LogText } from "../../../src/operations/operations.ts";
import { rawControl } from "../support/control-characters.ts";
import { run, testTerminal, testWiring } from "../support/terminal.ts";

const texts: readonly LogText[] = [
  { node: "train", stage: "train", source: "attempt 1", text: "epoch 1\nbro" },
  { node: "train", stage: "train", source: "attempt 2", text: "epoch 1\n" },
  { node: "serve", stage: "serve", source: "replica 1 of 2", text: "ready\n" },
  { node: "serve", stage: "serve", source: "replica 2 of 2", text: "rea" },
  { node: "serve", stage: "serve", source: "replica 2 of 2", text: "dy\n\x1b[31mred\x1b[2J\n" },
];

describe("logs", () => {
  test("bear the stage's name, and the replica's where there are several", async () => {
    const { exitCode, stdout } = await run("logs my-project", having(texts));
    expect(exitCode).toBe(0);
    expect(stdout).toBe(
      [
        "train | epoch 1",
        "train | epoch 1",
        "serve replica 1 of 2 | ready",
        "serve replica 2 of 2 | ready",
        "serve replica 2 of 2 | red\\x1b[2J",
        "train | bro",
        "",
      ].join("\n"),
    );
  });

  test("of one stage are its lines alone", async () => {
    const serve = texts.filter(({ stage }) => stage === "serve");
    const { stdout } = await run("logs my-project serve", having(serve));
    expect(stdout).toBe("replica 1 of 2 | ready\nreplica 2 of 2 | ready\nreplica 2 of 2 | red\\x1b[2J\n");
  });

  test("are one record a line in JSON, and one document each in YAML", async () => {
    const json = await run("logs my-project --output json", having(texts));
    expect(
      json.stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual(texts);
    const yaml = await run("logs my-project --output yaml", having(texts));
    expect(parseAllDocuments(yaml.stdout).map((document) => document.toJS())).toEqual(texts);
    expect(json.stdout + yaml.stdout).not.toMatch(rawControl);
  });

  test("are asked for as typed", async () => {
    const asked: LogsRequest[] = [];
    const operations = {
      async *logs(request: LogsRequest): AsyncIterable<LogText> {
        asked.push(request);
        yield* [];
      },
    };
    await run("logs my-project", { operations });
    await run("logs my-project train --run 20261123 --tail 5 --follow", { operations });
    expect(asked).toEqual([
      { deployment: "my-project", stage: undefined, runId: undefined, tail: undefined, follow: false },
      { deployment: "my-project", stage: "train", runId: "20261123", tail: 5, follow: true },
    ]);
  });

  test("end when nobody reads them any more, also while nothing is written", async () => {
    const terminal = testTerminal();
    const operations = {
      async *logs(_: LogsRequest, signal?: AbortSignal): AsyncIterable<LogText> {
        yield { node: "serve", stage: "serve", source: "replica 1 of 2", text: "one\n" };
        terminal.closeOutput();
        if (signal?.aborted !== true) throw new Error("the log was not told that nobody reads");
        yield { node: "serve", stage: "serve", source: "replica 1 of 2", text: "two\n" };
      },
    };
    expect(await runCli(["logs", "my-project", "--follow"], terminal.io, testWiring({ operations }))).toBe(0);
    expect(terminal.stdout()).toBe("serve replica 1 of 2 | one\n");
  });

  test("that are not there make the command fail with the reason", async () => {
    const operations = {
      logs: () => {
        throw new Failure("not-found", 'Cannot show logs of "gone": it has never run here.');
      },
    };
    expect(await run("logs gone", { operations })).toMatchObject({
      exitCode: 1,
      stderr: 'Error: Cannot show logs of "gone": it has never run here.\n',
    });
  });
});

function having(all: readonly LogText[]) {
  return {
    operations: {
      async *logs(): AsyncIterable<LogText> {
        yield* all;
      },
    },
  };
}
