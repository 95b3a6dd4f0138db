import { describe, expect, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import type { Cronjob, Job } from "../../src/core/job-state.ts";
import type { JobStore } from "../../src/ports/job-store.ts";
import { aCronjob, fates } from "../support/cronjobs.ts";
import { type Machine, machine } from "./support/machine.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

describe("due times", () => {
  test("start a job each, at their second", async () => {
    const the = machine();
    the.save(aCronjob({ concurrency: "allow" }));
    await the.boot();
    await the.clock.pass(2 * hour);
    expect(fates(the.jobs())).toEqual(["11:00 active", "12:00 active"]);
    for (const { dueAt, startedAt } of the.jobs()) expect(startedAt).toBe(dueAt);
    expect(the.store.cronjob("train")?.decidedUntil).toBe("2026-11-23T12:00:00.000Z");
  });

  test("of many cronjobs each come at their own time", async () => {
    const the = machine();
    the.save(aCronjob({ name: "a", schedule: "30 * * * *" }));
    the.save(aCronjob({ name: "b", schedule: "0 12 * * *", timezone: "Europe/Berlin" }));
    the.save(aCronjob({ name: "never", schedule: "0 0 30 2 *" }));
    await the.boot();
    await the.clock.pass(hour);
    expect(fates(the.jobs("a"))).toEqual(["10:30 active"]);
    expect(fates(the.jobs("b"))).toEqual(["11:00 active"]);
    expect(the.jobs("never")).toEqual([]);
  });

  test("follow the clock on the wall over a change: what comes twice fires once", async () => {
    const the = machine("2026-10-24T22:00:10.000Z");
    const decidedUntil = "2026-10-24T22:00:00.000Z";
    the.save(aCronjob({ schedule: "30 2 * * *", timezone: "Europe/Berlin", decidedUntil }));
    await the.boot();
    await the.clock.pass(12 * hour);
    expect(the.jobs().map(({ dueAt }) => dueAt)).toEqual(["2026-10-25T00:30:00.000Z"]);
  });

  test("of a cronjob that was made, changed or deleted since are seen when it is told", async () => {
    const the = machine();
    const scheduler = await the.boot();
    the.save(aCronjob({ schedule: "5 10 * * *" }));
    scheduler.wake();
    await the.clock.pass(5 * minute);
    expect(fates(the.jobs())).toEqual(["10:05 active"]);
    the.store.removeCronjob("train");
    scheduler.wake();
    await the.clock.pass(24 * hour);
    expect(the.jobs()).toEqual([]);
  });

  test("do not undo a change that was made while others were looked at", async () => {
    const the = machine();
    the.save(aCronjob({ name: "a" }));
    the.save(aCronjob({ name: "b" }));
    await the.boot({
      store: {
        ...the.store,
        cronjobs() {
          const listed = the.store.cronjobs();
          // Of many, the last are looked at when others have had their turn.
          the.save(aCronjob({ name: "b", suspended: true, retries: 9 }));
          return listed;
        },
      },
    });
    await the.clock.pass(hour);
    expect(the.store.cronjob("b")).toMatchObject({ suspended: true, retries: 9 });
    expect(fates(the.jobs("b"))).toEqual(["11:00 skipped: suspended"]);
  });

  test("are not decided any more when it has stopped", async () => {
    const the = machine();
    the.save(aCronjob());
    const scheduler = await the.boot();
    await scheduler.stop();
    the.clock.set("2026-11-23T12:00:00.000Z");
    scheduler.wake();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(the.jobs()).toEqual([]);
  });
});

describe("a server that was stopped over three due times", () => {
  async function stoppedOverThree(change: Partial<Cronjob>): Promise<Machine> {
    const the = machine();
    the.save(aCronjob(change));
    const before = await the.boot();
    await before.stop();
    the.clock.set("2026-11-23T13:20:00.000Z");
    await the.boot();
    return the;
  }

  test("makes up for the newest, and says of the others that they were missed", async () => {
    const the = await stoppedOverThree({});
    expect(fates(the.jobs())).toEqual([
      "11:00 missed: no server ran",
      "12:00 missed: no server ran",
      "13:00 active",
    ]);
    // By how much it was late is on record.
    expect(the.jobs().at(-1)?.startedAt).toBe("2026-11-23T13:20:00.000Z");
  });

  test("misses all three with --catch-up none", async () => {
    const the = await stoppedOverThree({ catchUp: "none" });
    expect(fates(the.jobs())).toEqual(
      ["11:00", "12:00", "13:00"].map((time) => `${time} missed: no server ran`),
    );
    expect(the.started).toEqual([]);
  });

  test("makes up for all three with --catch-up all, one after the other", async () => {
    const the = await stoppedOverThree({ catchUp: "all" });
    expect(fates(the.jobs())).toEqual(["11:00 active", "12:00 waiting", "13:00 waiting"]);
    const [first, next] = the.jobs().map(({ id }) => id);
    the.end(first ?? "", "failed");
    await the.clock.pass(30 * second);
    expect(fates(the.jobs())).toEqual(["11:00 failed", "12:00 active", "13:00 waiting"]);
    // A server that is stopped in between goes on where it was.
    the.end(next ?? "");
    await the.boot();
    expect(fates(the.jobs())).toEqual(["11:00 failed", "12:00 succeeded", "13:00 active"]);
  });

  test("does not start a backlog all at once because overlap is allowed", async () => {
    const the = await stoppedOverThree({ catchUp: "all", concurrency: "allow" });
    expect(fates(the.jobs())).toEqual(["11:00 active", "12:00 waiting", "13:00 waiting"]);
    await the.clock.pass(40 * minute);
    expect(fates(the.jobs())).toEqual(["11:00 active", "12:00 waiting", "13:00 waiting", "14:00 active"]);
  });

  test("fires nothing twice when it is stopped again at once", async () => {
    const the = await stoppedOverThree({});
    for (let count = 0; count < 3; count += 1) await (await the.boot()).stop();
    expect(the.jobs()).toHaveLength(3);
    expect(new Set(the.started).size).toBe(1);
  });
});

describe("a crash", () => {
  test("between the decision and the start leaves a job that the next server starts", async () => {
    const the = machine();
    the.save(aCronjob());
    const dies = await the.boot({
      jobs: { start() {}, startTogether() {}, cancel: async () => {}, tidyUp: async () => {} },
    });
    await the.clock.pass(hour);
    await dies.stop();
    expect(fates(the.jobs())).toEqual(["11:00 waiting"]);
    await the.boot();
    expect(fates(the.jobs())).toEqual(["11:00 active"]);
    expect(the.started).toHaveLength(1);
  });

  test.each([
    ["fires it once", (store: JobStore): JobStore => store, 1],
    ["fires it again when only the server's memory says what has fired", forgetful, 3],
  ] as const)("right after a due time %s", async (_, storeOf, times) => {
    const the = machine();
    the.save(aCronjob({ concurrency: "allow" }));
    const store = storeOf(the.store);
    await the.boot({ store }).then((server) => the.clock.pass(hour).then(server.stop));
    for (let count = 0; count < 2; count += 1) await (await the.boot({ store })).stop();
    expect(the.started).toEqual(Array(times).fill(the.jobs()[0]?.id));
  });
});

describe("a clock", () => {
  test("that is set back by an hour fires nothing a second time", async () => {
    const the = machine();
    the.save(aCronjob({ schedule: "*/20 * * * *", concurrency: "allow" }));
    await the.boot();
    await the.clock.pass(hour);
    const fired = [...the.started];
    expect(fired).toHaveLength(3);
    the.clock.set("2026-11-23T10:00:10.000Z");
    await the.clock.pass(hour);
    expect(the.started).toEqual(fired);
    await the.clock.pass(20 * minute);
    expect(the.started).toHaveLength(4);
  });

  test("that is set forward by an hour, or a machine that slept, is told from a server that did not run", async () => {
    const the = machine();
    the.save(aCronjob({ schedule: "*/20 * * * *" }));
    await the.boot();
    the.clock.set("2026-11-23T11:05:00.000Z");
    await the.clock.pass(30 * second);
    expect(fates(the.jobs())).toEqual([
      "10:20 missed: the machine slept, or its clock was set forward",
      "10:40 missed: the machine slept, or its clock was set forward",
      "11:00 active",
    ]);
  });

  test("that goes ten years ahead makes one job, and when it comes back cronjobs go on at once", async () => {
    const the = machine();
    the.save(aCronjob({ schedule: "*/20 * * * *" }));
    await the.boot();
    the.clock.set("2036-11-23T10:00:00.000Z");
    await the.clock.pass(30 * second);
    expect(the.jobs()).toHaveLength(1_001);
    expect(the.started).toHaveLength(1);
    the.end(the.started[0] ?? "");

    the.clock.set("2026-11-23T10:05:00.000Z");
    await the.clock.pass(20 * minute);
    expect(the.started).toHaveLength(2);
    // Of what has not come only that is on record which has run.
    expect(the.jobs().map(({ dueAt, status }) => [dueAt, status])).toEqual([
      ["2026-11-23T10:20:00.000Z", "active"],
      ["2036-11-23T10:00:00.000Z", "succeeded"],
    ]);
  });
});

describe("while the job before is unfinished", () => {
  test("a due time is skipped, and says for which job", async () => {
    const the = machine();
    the.save(aCronjob());
    await the.boot();
    await the.clock.pass(2 * hour);
    const [first] = the.jobs();
    expect(fates(the.jobs())).toEqual(["11:00 active", `12:00 skipped: ${first?.id} is still running`]);
    the.end(first?.id ?? "");
    await the.clock.pass(hour);
    expect(fates(the.jobs()).at(-1)).toBe("13:00 active");
  });

  test("another one starts beside it with --concurrency allow", async () => {
    const the = machine();
    the.save(aCronjob({ concurrency: "allow" }));
    await the.boot();
    await the.clock.pass(2 * hour);
    expect(fates(the.jobs())).toEqual(["11:00 active", "12:00 active"]);
  });

  test("it is cancelled with --concurrency replace, and the new one starts when it has ended", async () => {
    const the = machine();
    the.save(aCronjob({ concurrency: "replace" }));
    await the.boot();
    await the.clock.pass(2 * hour);
    const [first, next] = the.jobs().map(({ id }) => id);
    expect(the.cancelled).toEqual([`${first}: replaced by ${next}`]);
    expect(fates(the.jobs())).toEqual([`11:00 cancelled: replaced by ${next}`, "12:00 active"]);
  });

  test("one that can't be cancelled is asked for again, without haste", async () => {
    const the = machine();
    the.save(aCronjob({ concurrency: "replace" }));
    let asked = 0;
    const start = (job: Job): void => the.store.saveJob({ ...job, status: "active", startedAt: job.dueAt });
    await the.boot({
      jobs: {
        start,
        startTogether: (due) => due.forEach(start),
        async cancel() {
          asked += 1;
          throw new Failure("disk-full", "The disk is full.");
        },
        tidyUp: async () => {},
      },
    });
    await the.clock.pass(2 * hour + 20 * second);
    expect(asked).toBeGreaterThan(1);
    expect(asked).toBeLessThan(10);
    expect(fates(the.jobs())).toEqual(["11:00 active", "12:00 waiting"]);
    expect(new Set(the.faults)).toEqual(new Set(["The disk is full."]));
  });
});

describe("what goes wrong", () => {
  test("with the store costs no due time: it is decided when the store can be written again", async () => {
    const the = machine();
    the.save(aCronjob());
    let full = true;
    await the.boot({
      store: {
        ...the.store,
        decideDueTimes(decisions) {
          if (full) throw new Failure("disk-full", "The disk is full.");
          return the.store.decideDueTimes(decisions);
        },
      },
    });
    await the.clock.pass(hour + 20 * second);
    expect(the.jobs()).toEqual([]);
    expect(the.faults).toEqual(["The disk is full."]);
    full = false;
    await the.clock.pass(5 * second);
    expect(fates(the.jobs())).toEqual(["11:00 active"]);

    full = true;
    await the.clock.pass(2 * hour);
    full = false;
    the.end(the.started[0] ?? "");
    await the.clock.pass(10 * second);
    expect(fates(the.jobs()).slice(1)).toEqual([
      "12:00 missed: it could not be put on record: The disk is full.",
      "13:00 active",
    ]);
  });

  test("with one cronjob keeps no other from its time", async () => {
    const the = machine();
    the.save(aCronjob({ name: "a", schedule: "of another version" }));
    the.save(aCronjob({ name: "b" }));
    await the.boot();
    await the.clock.pass(hour);
    expect(the.jobs("b").map(({ dueAt, startedAt }) => startedAt === dueAt)).toEqual([true]);
    expect(the.faults).toEqual(["Cannot read the schedule of cronjob=a."]);
  });

  test("when cronjobs can't even be read is told once, and tried again", async () => {
    const the = machine();
    the.save(aCronjob());
    let broken = true;
    await the.boot({
      store: {
        ...the.store,
        cronjobs() {
          if (broken) throw new Failure("store-damaged", "The store can't be read.");
          return the.store.cronjobs();
        },
      },
    });
    await the.clock.pass(minute);
    expect(the.faults).toEqual(["The store can't be read."]);
    broken = false;
    await the.clock.pass(hour);
    expect(the.started).toHaveLength(1);
  });
});

test("the history of a cronjob that starts no job is trimmed now and then", async () => {
  const the = machine();
  the.save(aCronjob({ schedule: "* * * * *", suspended: true }));
  await the.boot();
  await the.clock.pass(150 * minute);
  expect(the.jobs()).toHaveLength(150);
  expect(the.tidied).toEqual(["train", "train"]);
});

/** Decides as the store does, but neither keeps up to when all is decided, nor knows a due time again. */
function forgetful(store: JobStore): JobStore {
  return {
    ...store,
    decideDueTimes(decisions) {
      const all = decisions.flatMap(({ jobs }) => jobs);
      for (const job of all) store.saveJob(job);
      return all;
    },
  };
}
