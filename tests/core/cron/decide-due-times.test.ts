import { describe, expect, test } from "vitest";
import { decideDueTimes, turnOf } from "../../../src/core/cron/decide-due-times.ts";
import { parseSchedule } from "../../../src/core/cron/parse-schedule.ts";
import type { Cronjob, Job } from "../../../src/core/job-state.ts";
import { aCronjob, fates } from "../../support/cronjobs.ts";

describe("a due time", () => {
  test("becomes a job that is named after it, with what the cronjob asks for", () => {
    const cronjob = aCronjob({ retries: 4 });
    const decision = decided(cronjob, "11:00:00.250");
    expect(decision?.cronjob).toEqual({ ...cronjob, decidedUntil: "2026-11-23T11:00:00.000Z" });
    expect(decision?.jobs).toEqual([
      {
        id: `train-${Date.parse("2026-11-23T11:00:00.000Z") / 60_000}`,
        cronjob: "train",
        dueAt: "2026-11-23T11:00:00.000Z",
        status: "waiting",
        why: undefined,
        request: cronjob.request,
        retries: 4,
        runs: [],
        nextRunAt: undefined,
        startedAt: undefined,
        endedAt: undefined,
      },
    ]);
  });

  test("is not decided before it has come, nor a second time", () => {
    expect(decided(aCronjob(), "10:59:59.999")).toBeUndefined();
    expect(decided(aCronjob({ decidedUntil: "2026-11-23T11:00:00.000Z" }), "11:00:30.000")).toBeUndefined();
    // Also when the clock was set back since.
    expect(decided(aCronjob({ decidedUntil: "2026-11-23T12:00:00.000Z" }), "11:00:00.000")).toBeUndefined();
  });

  test("that is noticed less than a minute late ran late, whatever is made up for", () => {
    for (const catchUp of ["latest", "none", "all"] as const) {
      expect(fatesAt(aCronjob({ catchUp }), "11:00:59.999")).toEqual(["11:00 waiting"]);
    }
    expect(fatesAt(aCronjob({ catchUp: "none" }), "11:01:00.000")).toEqual(["11:00 missed: no server ran"]);
  });
});

describe("due times that passed", () => {
  test.each<[Partial<Cronjob>, readonly string[]]>([
    [{ catchUp: "latest" }, ["11:00 missed: no server ran", "12:00 missed: no server ran", "13:00 waiting"]],
    [
      { catchUp: "none" },
      ["11:00 missed: no server ran", "12:00 missed: no server ran", "13:00 missed: no server ran"],
    ],
    [{ catchUp: "all" }, ["11:00 waiting", "12:00 waiting", "13:00 waiting"]],
    [{ catchUp: "all", concurrency: "allow" }, ["11:00 waiting", "12:00 waiting", "13:00 waiting"]],
    [
      { catchUp: "all", concurrency: "replace" },
      [
        "11:00 skipped: replaced by train-29923980",
        "12:00 skipped: replaced by train-29923980",
        "13:00 waiting",
      ],
    ],
    [
      { suspended: true, catchUp: "all" },
      ["11:00 skipped: suspended", "12:00 skipped: suspended", "13:00 skipped: suspended"],
    ],
  ])("three of them with %o", (change, expected) => {
    expect(fatesAt(aCronjob(change), "13:20:00.000")).toEqual(expected);
  });

  test("the newest of them is not missed when it is only late", () => {
    expect(fatesAt(aCronjob({ catchUp: "none" }), "13:00:05.000")).toEqual([
      "11:00 missed: no server ran",
      "12:00 missed: no server ran",
      "13:00 waiting",
    ]);
  });

  test("after ten years there are a thousand rows, one more for all the others, and one job", () => {
    const now = new Date("2036-11-23T10:00:00.000Z");
    for (const [schedule, next] of [
      ["* * * * *", "2036-11-22T17:21:00.000Z"],
      ["0 * * * *", "2036-10-12T19:00:00.000Z"],
    ] as const) {
      const started = performance.now();
      const decision = decide(aCronjob({ schedule }), now);
      expect(performance.now() - started).toBeLessThan(2_000);
      expect(decision?.jobs).toHaveLength(1_001);
      expect(decision?.jobs.filter(({ status }) => status === "waiting")).toHaveLength(1);
      expect(decision?.jobs[0]?.why).toBe(`no server ran; this stands for every due time before ${next}`);
      expect(decision?.jobs[1]?.dueAt).toBe(next);
      expect(decision?.cronjob.decidedUntil).toBe("2036-11-23T10:00:00.000Z");
    }
  });

  test("a thousand of them are all rows of their own", () => {
    const now = new Date(Date.parse("2026-11-23T10:00:00.000Z") + 1_000 * 60_000);
    const jobs = decide(aCronjob({ schedule: "* * * * *" }), now)?.jobs ?? [];
    expect(jobs).toHaveLength(1_000);
    expect(jobs[0]?.why).toBe("no server ran");
  });
});

describe("while the job before is unfinished", () => {
  test.each<[Partial<Cronjob>, Partial<Job>, string]>([
    [{ concurrency: "forbid" }, { status: "active" }, "11:00 skipped: train-1 is still running"],
    [{ concurrency: "forbid" }, { status: "waiting" }, "11:00 skipped: train-1 is to run again"],
    [{ concurrency: "allow" }, { status: "active" }, "11:00 waiting"],
    [{ concurrency: "replace" }, { status: "active" }, "11:00 waiting"],
    // What is made up for waits its turn.
    [
      { concurrency: "forbid", catchUp: "all" },
      { status: "active" },
      "11:00 skipped: train-1 is still running",
    ],
  ])("%o", (change, job, expected) => {
    expect(fatesAt(aCronjob(change), "11:00:00.000", [aJob(1, job)])).toEqual([expected]);
  });

  test("all that is made up for waits behind it", () => {
    expect(fatesAt(aCronjob({ catchUp: "all" }), "12:30:00.000", [aJob(1, { status: "active" })])).toEqual([
      "11:00 waiting",
      "12:00 waiting",
    ]);
  });
});

describe("whose turn it is", () => {
  const now = new Date("2026-11-23T12:00:30.000Z");
  const running = aJob(1, { status: "active", startedAt: "2026-11-23T10:00:00.000Z" });
  const [late, onTime] = [
    aJob(2, { dueAt: "2026-11-23T11:00:00.000Z" }),
    aJob(3, { dueAt: "2026-11-23T12:00:00.000Z" }),
  ];

  test.each<[Partial<Cronjob>, readonly Job[], readonly string[], readonly string[]]>([
    [{}, [], [], []],
    [{}, [late, onTime], ["train-2"], []],
    [{}, [running, late, onTime], [], []],
    [{ concurrency: "allow" }, [running, onTime], ["train-3"], []],
    [{ concurrency: "allow" }, [running, late, onTime], ["train-3"], []],
    [{ concurrency: "replace" }, [onTime], ["train-3"], []],
    [{ concurrency: "replace" }, [running, late, onTime], [], ["train-1", "train-2"]],
    [{ suspended: true }, [late], [], []],
    [{ suspended: true, concurrency: "replace" }, [late], [], []],
  ])("%o", (change, unfinished, start, cancel) => {
    const turn = turnOf(aCronjob(change), unfinished, now);
    expect(turn.start.map(({ id }) => id)).toEqual(start);
    expect(turn.cancel.map(({ id }) => id)).toEqual(cancel);
  });
});

function decide(cronjob: Cronjob, now: Date, unfinished: readonly Job[] = []) {
  const { schedule } = parseSchedule(cronjob.schedule);
  if (schedule === undefined) throw new Error(`${cronjob.schedule} is no schedule`);
  return decideDueTimes(cronjob, schedule, { now, unfinished, whyPassed: "no server ran" });
}

function decided(cronjob: Cronjob, time: string, unfinished: readonly Job[] = []) {
  return decide(cronjob, new Date(`2026-11-23T${time}Z`), unfinished);
}

function fatesAt(cronjob: Cronjob, time: string, unfinished: readonly Job[] = []): readonly string[] {
  return fates(decided(cronjob, time, unfinished)?.jobs ?? []);
}

function aJob(number: number, change: Partial<Job> = {}): Job {
  const { request } = aCronjob();
  return {
    id: `train-${number}`,
    cronjob: "train",
    dueAt: "2026-11-23T10:00:00.000Z",
    status: "waiting",
    why: undefined,
    request,
    retries: 1,
    runs: [],
    nextRunAt: undefined,
    startedAt: undefined,
    endedAt: undefined,
    ...change,
  };
}
