import { join } from "node:path";
import { expect, test } from "vitest";
import { openStore } from "../../src/store/sqlite-store.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { aCronjob, aJob } from "./records.ts";

const newStore = () => openStore(join(temporaryFolder("store"), "store.db"));

test("cronjobs and jobs come back as they were saved, also after the store was closed", () => {
  const file = join(temporaryFolder("store"), "store.db");
  const store = openStore(file);
  const job = aJob("nightly-1", { cronjob: "nightly", runs: ["r1"], why: "ü" });
  store.saveCronjob(aCronjob("nightly"));
  store.saveCronjob(aCronjob("hourly"));
  expect(store.addJob(job)).toBe(true);
  store.close();
  const again = openStore(file);
  expect(again.cronjobs()).toEqual([aCronjob("hourly"), aCronjob("nightly")]);
  expect(again.cronjob("nightly")).toEqual(aCronjob("nightly"));
  expect(again.cronjob("weekly")).toBeUndefined();
  expect(again.job("nightly-1")).toEqual(job);
  expect(again.job("nightly-2")).toBeUndefined();
  again.close();
});

test("there is one job of an id: a second one is refused and changes nothing", () => {
  const store = newStore();
  const first = aJob("async-workflow-x", { status: "active" });
  expect(store.addJob(first)).toBe(true);
  expect(store.addJob(aJob("async-workflow-x", { status: "waiting" }))).toBe(false);
  expect(store.jobs({})).toEqual([first]);
  store.saveJob({ ...first, status: "succeeded" });
  expect(store.job("async-workflow-x")?.status).toBe("succeeded");
  store.removeJob("async-workflow-x");
  expect(store.jobs({})).toEqual([]);
  store.close();
});

test("jobs are listed newest first by due time, whichever was added or changed last", () => {
  const store = newStore();
  store.addJob(aJob("b", { dueAt: "2026-11-25T08:00:00Z", cronjob: "x" }));
  store.addJob(aJob("c", { dueAt: "2026-11-25T08:00:00.500Z", cronjob: "y" }));
  store.addJob(aJob("a", { dueAt: "2026-11-25T07:59:59.999Z" }));
  store.addJob(aJob("b2", { dueAt: "2026-11-25T08:00:00.000Z", cronjob: "x" }));
  store.saveJob(aJob("a", { dueAt: "2026-11-25T07:59:59.999Z", status: "failed" }));
  const ids = (filter: Parameters<typeof store.jobs>[0]) => store.jobs(filter).map(({ id }) => id);
  expect(ids({})).toEqual(["c", "b2", "b", "a"]);
  expect(ids({ limit: 1 })).toEqual(["c"]);
  expect(ids({ cronjob: "x" })).toEqual(["b2", "b"]);
  expect(ids({ cronjob: "x", limit: 1 })).toEqual(["b2"]);
  expect(ids({ cronjob: null })).toEqual(["a"]);
  expect(store.unfinishedJobs().map(({ id }) => id)).toEqual(["b", "b2", "c"]);
  store.close();
});

test("a cronjob goes with its jobs, and no other's", () => {
  const store = newStore();
  for (const name of ["x", "y"]) {
    store.saveCronjob(aCronjob(name));
    store.addJob(aJob(`${name}-1`, { cronjob: name }));
  }
  store.addJob(aJob("async-workflow-x"));
  store.removeCronjob("x");
  expect(store.cronjobs().map(({ name }) => name)).toEqual(["y"]);
  expect(
    store
      .jobs({})
      .map(({ id }) => id)
      .sort(),
  ).toEqual(["async-workflow-x", "y-1"]);
  store.close();
});

test("a due time fires once: those decided before are not added again, and the cronjob says how far it is decided", () => {
  const store = newStore();
  const [one, two, three] = ["x-1", "x-2", "x-3"].map((id) => aJob(id, { cronjob: "x" }));
  const until = (minute: number) => aCronjob("x", { decidedUntil: `2026-11-25T08:0${minute}:00.000Z` });
  if (!one || !two || !three) throw new Error("three jobs");
  expect(store.decideDueTimes([{ cronjob: until(2), jobs: [one, two] }])).toEqual([one, two]);
  store.saveJob({ ...one, status: "succeeded" });
  expect(store.decideDueTimes([{ cronjob: until(3), jobs: [one, two, three] }])).toEqual([three]);
  expect(store.job("x-1")?.status).toBe("succeeded");
  expect(store.cronjob("x")).toEqual(until(3));
  store.close();
});

test("what is decided of due times, of all cronjobs together, is stored whole or not at all", () => {
  const store = newStore();
  store.saveCronjob(aCronjob("x"));
  const other = { cronjob: aCronjob("y"), jobs: [aJob("y-1", { cronjob: "y" })] };
  const broken = aJob("x-2", { cronjob: "x", dueAt: "no time" }); // Refused by the table, after x-1 was added.
  const decided = { cronjob: aCronjob("x", { suspended: true }), jobs: [aJob("x-1"), broken] };
  expect(() => store.decideDueTimes([other, decided])).toThrow();
  expect(store.jobs({})).toEqual([]);
  expect(store.cronjobs()).toEqual([aCronjob("x")]);
  expect(store.decideDueTimes([other])).toEqual(other.jobs);
  store.close();
});

test("several jobs are saved together or not at all", () => {
  const store = newStore();
  const [one, two] = [aJob("x-1", { status: "waiting" }), aJob("x-2", { status: "waiting" })];
  store.saveJobs([one, two]);
  const active = [one, two].map((job) => ({ ...job, status: "active" }) as const);
  expect(() => store.saveJobs([...active, aJob("x-3", { dueAt: "no time" })])).toThrow();
  expect(store.jobs({}).map(({ status }) => status)).toEqual(["waiting", "waiting"]);
  store.saveJobs(active);
  expect(store.jobs({}).map(({ status }) => status)).toEqual(["active", "active"]);
  store.close();
});
