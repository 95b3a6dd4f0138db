import { describe, expect, test } from "vitest";
import { createRunProgress } from "../../src/cli/run-progress.ts";
import type { RunEvent } from "../../src/core/run-state.ts";
import { rawControl } from "./support/control-characters.ts";
import { events } from "./support/records.ts";
import { type TerminalOptions, testTerminal } from "./support/terminal.ts";

const wholeRun = events(
  { kind: "run", status: "preparing" },
  { kind: "notice", level: "warning", text: "Odd key", details: ["bodywork.yaml:3:1"] },
  { kind: "stage", node: "train", status: "environment", text: "reused (Python 3.11.7)" },
  { kind: "run", status: "running" },
  { kind: "stage", node: "train", status: "running" },
  { kind: "log", node: "train", source: "attempt 1", text: "epoch 1\nepo" },
  { kind: "log", node: "train", source: "attempt 1", text: "ch 2\nno line end" },
  { kind: "stage", node: "train", status: "running", attempt: 2 },
  { kind: "log", node: "train", source: "attempt 2", text: "again\n" },
  { kind: "stage", node: "train", status: "succeeded" },
  { kind: "run", status: "reverting" },
  { kind: "run", status: "succeeded" },
);

test("A run's logs and notices are results, its progress goes to standard error with the elapsed time", () => {
  const { stdout, stderr } = shown(wholeRun);
  expect(stdout).toBe(
    [
      "Warning: Odd key",
      "  bodywork.yaml:3:1",
      "train | epoch 1",
      "train | epoch 2",
      "train | no line end",
      "train | again",
      "",
    ].join("\n"),
  );
  expect(stderr).toBe(
    [
      "[  0.0s] run preparing",
      "[  0.2s] train environment: reused (Python 3.11.7)",
      "[  0.3s] run running",
      "[  0.4s] train running",
      "[  0.7s] train running (attempt 2)",
      "[  0.9s] train succeeded after 0.2s",
      "[  1.0s] putting back what the run changed",
      "[  1.1s] run succeeded",
      "",
    ].join("\n"),
  );
});

test("With --quiet logs are shown that were asked for", () => {
  const { io, stdout } = testTerminal();
  const progress = createRunProgress({ ...io, quiet: true }, io.stdout, { logsAreResult: true });
  for (const event of wholeRun) progress.show(event);
  progress.end();
  expect(stdout()).toContain("train | epoch 1\n");
});

test("With --quiet what is wrong is shown and nothing else, and nothing is drawn", () => {
  const { io, stdout, stderr } = testTerminal({ terminal: true });
  const progress = createRunProgress({ ...io, quiet: true }, io.stdout);
  const known = events({ kind: "notice", level: "info", text: "Good to know", details: [] });
  for (const event of [...known, ...wholeRun]) progress.show(event);
  progress.note("info", "Later");
  progress.note("warning", "Lost");
  progress.end();
  expect(stdout()).toBe("Warning: Odd key\n  bodywork.yaml:3:1\n");
  expect(stderr()).toBe("Warning: Lost\n");
});

test("What a log has without a line end is shown when the run is over", () => {
  const open = events({ kind: "log", node: "serve", source: "replica 2", text: "listening" });
  expect(shown(open).stdout).toBe("serve replica 2 | listening\n");
});

test("Nothing of a run reaches the terminal as a control character", () => {
  const bad = "\x1b[2J\x9b1m\x07";
  const { stdout, stderr } = shown(
    events(
      { kind: "notice", level: "error", text: bad, details: [bad] },
      { kind: "stage", node: bad, status: "running", text: bad },
      { kind: "log", node: bad, source: `replica ${bad}`, text: `${bad}\n` },
    ),
  );
  expect(stdout + stderr).not.toMatch(rawControl);
  expect(stdout).toContain("\\x1b[2J");
});

describe("on a terminal", () => {
  test("one line at the bottom says what runs now, and nothing is left of it", () => {
    const running = wholeRun.slice(0, 5);
    const { io, stderr } = testTerminal({ terminal: true, columns: 40 });
    const progress = createRunProgress(io, io.stdout);
    for (const event of running) progress.show(event);
    const drawn = stderr().split("\r\x1b[2K");
    expect(drawn.at(-1)).toBe("0.0s  train 0.0s");
    progress.end();
    expect(stderr().endsWith("\r\x1b[2K")).toBe(true);
  });

  test("it is never wider than the terminal", () => {
    const name = "a_very_long_stage_name_that_does_not_end";
    const { stderr } = shown(events({ kind: "stage", node: name, status: "running" }), {
      terminal: true,
      columns: 20,
    });
    const live = stderr.split("\r\x1b[2K").filter((part) => !part.endsWith("\n"));
    expect(live.some((text) => text.length === 19)).toBe(true);
    expect(live.every((text) => text.length <= 19)).toBe(true);
  });

  test("it is not drawn elsewhere, and nothing has colours", () => {
    const { stdout, stderr } = shown(wholeRun);
    expect(stdout + stderr).not.toMatch(rawControl);
  });
});

function shown(all: readonly RunEvent[], options: TerminalOptions = {}) {
  const { io, stdout, stderr } = testTerminal(options);
  const progress = createRunProgress(io, io.stdout);
  for (const event of all) progress.show(event);
  progress.end();
  return { stdout: stdout(), stderr: stderr() };
}
