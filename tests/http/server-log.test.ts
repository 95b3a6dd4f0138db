import { expect, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import { faultsInLog, startFailureIn } from "../../src/http/faults-in-log.ts";
import { createServerLog, type ServerLog } from "../../src/http/server-log.ts";
import { aJob, aRun, aService } from "../store/records.ts";

function logged(tell: (log: ServerLog) => void): readonly Record<string, unknown>[] {
  return linesOf(tell).map((line) => JSON.parse(line) as Record<string, unknown>);
}

function linesOf(tell: (log: ServerLog) => void): readonly string[] {
  let text = "";
  tell(
    createServerLog({
      write(more) {
        text += more;
      },
    }),
  );
  expect(text === "" || text.endsWith("\n")).toBe(true);
  return text.split("\n").slice(0, -1);
}

test("a line is one JSON object with time, level, message and what it is about", () => {
  const [line] = logged((log) => log.observe({ kind: "run", run: aRun("r1", { status: "queued" }) }));
  expect(line).toEqual({
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    level: "info",
    msg: "Run r1 was accepted.",
    run: "r1",
    namespace: "ml",
    deployment: "iris",
    url: "file:///project",
    branch: "main",
    startedBy: "command",
  });
});

test("runs are told when they are accepted and when they end, with the reason, and not between", () => {
  const lines = logged((log) => {
    for (const status of ["queued", "preparing", "running", "reverting"] as const) {
      log.observe({ kind: "run", run: aRun("r1", { status }) });
    }
    const failed = { status: "failed", reason: "stage train: exit 3", code: "stage-failed" } as const;
    log.observe({ kind: "run", run: aRun("r1", failed) });
    log.observe({ kind: "run", run: aRun("r2", { status: "cancelled", reason: "cancelled: by Ctrl-C" }) });
    log.observe({ kind: "run", run: aRun("r3", { release: 4 }) });
  });
  expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
    ["info", "Run r1 was accepted."],
    ["warn", "Run r1 failed: stage train: exit 3"],
    ["info", "Run r2 was cancelled."],
    ["info", "Run r3 succeeded."],
  ]);
  expect(lines[1]).toMatchObject({ status: "failed", code: "stage-failed", run: "r1", deployment: "iris" });
});

test("what becomes of a due time is told with the why", () => {
  const due = aJob("train-1", { cronjob: "train" });
  const lines = logged((log) => {
    log.observe({ kind: "job", job: due });
    log.observe({ kind: "job", job: { ...due, status: "missed", why: "no server ran" } });
    log.observe({ kind: "job", job: { ...due, status: "active", runs: ["1"] } });
    log.observe({ kind: "job", job: { ...due, status: "failed", runs: ["1"], why: "run 1 failed" } });
  });
  expect(lines.map(({ level, msg, cronjob }) => [level, msg, cronjob])).toEqual([
    ["info", "Job train-1 of cronjob=train is due.", "train"],
    ["warn", "The due time 2026-11-25T08:00:00.000Z of cronjob=train was missed: no server ran", "train"],
    ["warn", "Job train-1 failed: run 1 failed", "train"],
  ]);
});

test("a service is told when it is restarted, crashes over and over, and serves again; a new release has no restarts", () => {
  const service = aService("serve");
  const loop = { ...service, restarts: 3, state: "crash-loop", reason: "replica 1 exit 1" } as const;
  const lines = logged((log) => {
    log.observe({ kind: "service", service, before: service });
    log.observe({ kind: "service", service: loop, before: { ...service, restarts: 2, state: "starting" } });
    log.observe({ kind: "service", service: loop, before: loop });
    log.observe({ kind: "service", service, before: loop });
    log.observe({ kind: "service", service: { ...service, release: 2, restarts: 1 }, before: service });
  });
  expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
    ["warn", "A replica of the service ml/serve is started again (restarts so far: 3): replica 1 exit 1"],
    ["warn", "A replica of the service ml/serve crashes over and over: replica 1 exit 1"],
    ["info", "All replicas of the service ml/serve take requests."],
  ]);
});

test("refused tokens are told, and what else the audit log holds is not", () => {
  const entry = { at: "", who: "unknown", from: "192.0.2.1", on: "GET /api/v1/runs", result: "not-allowed" };
  const lines = logged((log) => {
    log.observe({ kind: "audit", entry: { ...entry, what: "create secret" } });
    log.observe({ kind: "audit", entry: { ...entry, what: "refused token" } });
  });
  expect(lines.map(({ level, from, code }) => [level, from, code])).toEqual([
    ["warn", "192.0.2.1", "not-allowed"],
  ]);
});

test("a text of several lines, or with control characters, is still one line", () => {
  const lines = linesOf((log) => log.notice('a\nb\u001b[31m"'));
  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toContain("\u001b");
});

test("of a log, the server's own faults are what is worth showing: readable, with what others printed", () => {
  const lines = linesOf((log) => {
    log.started({ version: "4.0.0", ingress: undefined });
    log.notice("The ingress has moved.");
    log.fault("Cannot look at due times", new Failure("disk-full", "There is no room."));
    log.fault("GET /api/v1/runs", new TypeError("x is not a function"));
  });
  const text = [...lines, "node:internal/errors:1", '{"broken', "", "  escape \u001b[31m"].join("\n");
  const shown = faultsInLog(text);
  expect(shown[0]).toBe("Cannot look at due times: There is no room.");
  expect(shown[1]).toContain("GET /api/v1/runs: ");
  expect(shown[1]).toContain("x is not a function");
  expect(shown[2]).toMatch(/^ {4}at /);
  expect(shown.slice(-3)).toEqual(["node:internal/errors:1", '{"broken', "  escape \\x1b[31m"]);
  expect(shown.join()).not.toMatch(/has started|has moved/);
});

test("a log that tells no fault shows nothing: the server was killed", () => {
  const lines = linesOf((log) => {
    log.started({ version: "4.0.0", ingress: "http://127.0.0.1:8080" });
    log.observe({ kind: "run", run: aRun("r1", { status: "failed", reason: "exit 3" }) });
    log.stopped();
  });
  expect(faultsInLog(`${lines.join("\n")}\n`)).toEqual([]);
});

test("what kept a server from starting is a failure again for the command that has started it; our own faults are not", () => {
  const damaged = new Failure("store-damaged", "Cannot use the store.", {
    hint: "Bring back a backup.",
    details: ["page 3"],
  });
  const lines = linesOf((log) => {
    log.fault("A job", new Failure("disk-full", "no room"));
    log.notStarted(damaged);
  });
  expect(startFailureIn(["of Node itself", ...lines].join("\n"))).toEqual(damaged);
  const ours = linesOf((log) => log.notStarted(new Failure("internal", "undefined is not a function")));
  expect(startFailureIn([...lines, ...ours].join("\n"))).toBeUndefined();
  expect(startFailureIn("Error: not ours\n")).toBeUndefined();
});
