import { describe, expect, test } from "vitest";
import { followRunToEnd } from "../../src/cli/follow-run.ts";
import { Failure } from "../../src/core/failure.ts";
import type { Run, RunEvent } from "../../src/core/run-state.ts";
import type { Operations } from "../../src/operations/operations.ts";
import { aRun, events } from "./support/records.ts";
import { testTerminal, testWiring } from "./support/terminal.ts";

const lost = () => new Failure("server-unreachable", "Cannot reach the server.");

const [running, trainRuns, trainEnds, succeeded] = events(
  { kind: "run", status: "running" },
  { kind: "stage", node: "train", status: "running" },
  { kind: "stage", node: "train", status: "succeeded" },
  { kind: "run", status: "succeeded" },
) as [RunEvent, RunEvent, RunEvent, RunEvent];

function log(text: string, source = "attempt 1"): RunEvent {
  return { kind: "log", at: "2026-11-23T19:05:12.000Z", node: "train", source, text };
}

/** What one connection brings: events, then its end; `lost` breaks it, `refused` never makes it. */
type Connection = readonly (RunEvent | "lost")[] | "refused";

describe("a run that is followed", () => {
  test("brings each event once and then its record", async () => {
    const { run, shown, asked } = await follow([[running, trainRuns, log("a\n"), trainEnds, succeeded]]);
    expect(run).toEqual(aRun());
    expect(shown).toEqual([running, trainRuns, log("a\n"), trainEnds, succeeded]);
    expect(asked).toEqual([0]);
  });

  test("goes on after a lost connection with what was not seen yet", async () => {
    const { shown, asked, losses } = await follow([
      [running, trainRuns, "lost"],
      "refused",
      [trainEnds, succeeded],
    ]);
    expect(shown).toEqual([running, trainRuns, trainEnds, succeeded]);
    expect(asked).toEqual([0, 2]);
    expect(losses).toBe(1);
  });

  test("drops events that a server sends again", async () => {
    const { shown } = await follow([
      [running, trainRuns, "lost"],
      [running, trainRuns, trainEnds, succeeded],
    ]);
    expect(shown).toEqual([running, trainRuns, trainEnds, succeeded]);
  });

  test("shows no text of a log twice, however it is cut the second time", async () => {
    const { shown } = await follow([
      [trainRuns, log("one\ntw"), log("o\n"), "lost"],
      [log("on"), log("e\ntwo\nthree\n"), "lost"],
      [log("one\ntwo\nthree\nfour\n"), succeeded],
    ]);
    expect(textOf(shown)).toBe("one\ntwo\nthree\nfour\n");
  });

  test("would show it twice if the position were not kept", async () => {
    const naive: RunEvent[] = [log("one\n"), log("one\ntwo\n")];
    expect(textOf(naive)).toBe("one\none\ntwo\n");
  });

  test("keeps the places of several logs apart, and shows an environment's output as it comes", async () => {
    const { shown } = await follow([
      [log("a1\n"), log("b1\n", "attempt 2"), log("pip\n", "environment"), "lost"],
      [log("b1\nb2\n", "attempt 2"), log("a1\na2\n"), log("more\n", "environment"), succeeded],
    ]);
    expect(textOf(shown)).toBe("a1\nb1\npip\nb2\na2\nmore\n");
  });

  test("shows after a lost connection what was written to logs that are closed by now", async () => {
    const { shown } = await follow(
      [
        [trainRuns, log("one\n"), "lost"],
        [trainEnds, log("three\n", "attempt 2"), succeeded],
      ],
      [aRun()],
      [log("one\ntwo\n"), log("three\n", "attempt 2")],
    );
    expect(textOf(shown)).toBe("one\ntwo\nthree\n");
    expect(shown.indexOf(trainEnds), "before it is told that the stage has ended").toBeGreaterThan(2);
  });

  test("shows them also when the connection is lost while they are read", async () => {
    const { shown } = await follow(
      [
        [trainRuns, log("one\n"), "lost"],
        [trainEnds, succeeded],
        [trainEnds, succeeded],
      ],
      [aRun()],
      [log("one\ntwo\n"), "lost", log("three\n", "attempt 2")],
    );
    expect(textOf(shown)).toBe("one\ntwo\nthree\n");
    expect(shown.at(-1)).toEqual(succeeded);
  });

  test("that has not ended when its events end is followed again", async () => {
    const { asked, run } = await follow([[running], [succeeded]], [aRun({ status: "running" }), aRun()]);
    expect(asked).toEqual([0, 1]);
    expect(run?.status).toBe("succeeded");
  });

  test("is given up after a minute without a connection", async () => {
    const { run, losses, asked, passed } = await follow(
      Array.from({ length: 200 }, () => "refused" as const),
    );
    expect(run).toBeUndefined();
    expect({ losses, asked }).toEqual({ losses: 1, asked: [] });
    expect(passed).toBeGreaterThan(60_000);
    expect(passed).toBeLessThan(70_000);
  });

  test("has another minute after each connection that brought something", async () => {
    const refused = Array.from({ length: 25 }, () => "refused" as const);
    const { run, losses, passed } = await follow([
      [running, "lost"],
      ...refused,
      [trainRuns, "lost"],
      ...refused,
      [succeeded],
    ]);
    expect(run?.status).toBe("succeeded");
    expect(losses).toBe(2);
    expect(passed).toBeGreaterThan(80_000);
  });

  test("ends with any failure that is not a lost connection", async () => {
    const operations: Partial<Operations> = {
      followRun: () => {
        throw new Failure("not-found", "There is no run x.");
      },
    };
    await expect(followWith(operations)).rejects.toMatchObject({ code: "not-found" });
  });
});

describe("a run that is to be cancelled", () => {
  test("is cancelled at once", async () => {
    const cancel = new AbortController();
    const cancelled: string[] = [];
    const operations: Partial<Operations> = {
      async *followRun() {
        yield running;
        cancel.abort("Ctrl-C");
        await new Promise((resolve) => setImmediate(resolve));
        yield succeeded;
      },
      cancelRun: async (id, why) => {
        cancelled.push(`${id}: ${why}`);
      },
      run: async () => aRun({ status: "cancelled" }),
    };
    expect((await followWith(operations, cancel.signal))?.status).toBe("cancelled");
    expect(cancelled).toEqual(["run-1: Ctrl-C"]);
  });

  test("is cancelled by the next connection when this one is lost", async () => {
    const cancel = new AbortController();
    let tries = 0;
    const operations: Partial<Operations> = {
      async *followRun() {
        yield running;
        if (tries === 0) {
          cancel.abort("Ctrl-C");
          await new Promise((resolve) => setImmediate(resolve));
          throw lost();
        }
      },
      cancelRun: async () => {
        tries += 1;
        if (tries === 1) throw lost();
      },
      run: async () => aRun({ status: "cancelled" }),
    };
    expect((await followWith(operations, cancel.signal))?.status).toBe("cancelled");
    expect(tries).toBe(2);
  });

  test("is asked for before anything is followed when it is late", async () => {
    const calls: string[] = [];
    const operations: Partial<Operations> = {
      async *followRun() {
        calls.push("follow");
        yield succeeded;
      },
      cancelRun: async () => {
        calls.push("cancel");
      },
      run: async () => aRun({ status: "cancelled" }),
    };
    await followWith(operations, AbortSignal.abort("it took longer than 1 s"));
    expect(calls).toEqual(["cancel", "follow"]);
  });
});

test("A run that is left is followed no longer", async () => {
  const operations: Partial<Operations> = { followRun: async function* () {} };
  expect(await followWith(operations, undefined, AbortSignal.abort())).toBeUndefined();
});

/**
 * Follows a run whose connections go as given; the last record is that of every later look, and `logs` is all that was
 * ever written; a loss among them happens once.
 */
async function follow(
  connections: readonly Connection[],
  records: readonly Run[] = [aRun()],
  logs: readonly (RunEvent | "lost")[] = [],
) {
  const asked: number[] = [];
  const shown: RunEvent[] = [];
  const left = [...connections];
  const runs = [...records];
  const written = [...logs];
  let losses = 0;
  const terminal = testTerminal();
  const start = terminal.io.now();
  const { operations } = testWiring({
    operations: {
      async *followRun(_, after) {
        asked.push(after);
        for (const event of left.shift() ?? []) {
          if (event === "lost") throw lost();
          yield event as RunEvent;
        }
      },
      async *logs() {
        for (const event of [...written]) {
          if (event === "lost") {
            written.splice(written.indexOf(event), 1);
            throw lost();
          }
          if (event.kind !== "log") continue;
          const { node, source, text } = event;
          yield { node, stage: node, source, text };
        }
      },
      run: async () => (runs.length > 1 ? runs.shift() : runs[0]) as Run,
    },
  });
  const run = await followRunToEnd("run-1", {
    io: terminal.io,
    operations: async () => {
      if (left[0] !== "refused") return operations();
      left.shift();
      throw lost();
    },
    onEvent: (event) => shown.push(event),
    onLost: () => {
      losses += 1;
    },
    cancel: new AbortController().signal,
    leave: new AbortController().signal,
  });
  return { run, shown, asked, losses, passed: terminal.io.now() - start };
}

function followWith(
  operations: Partial<Operations>,
  cancel = new AbortController().signal,
  leave = new AbortController().signal,
): Promise<Run | undefined> {
  const wiring = testWiring({ operations });
  return followRunToEnd("run-1", {
    io: testTerminal().io,
    operations: () => wiring.operations(),
    onEvent: () => {},
    onLost: () => {},
    cancel,
    leave,
  });
}

function textOf(shown: readonly RunEvent[]): string {
  return shown.map((event) => (event.kind === "log" ? event.text : "")).join("");
}
