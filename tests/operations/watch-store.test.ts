import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type StoreNews, watchStore } from "../../src/operations/watch-store.ts";
import type { Store } from "../../src/ports/store.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { aCronjob, aJob, aRun, aService } from "../store/records.ts";
import { temporaryFolder } from "../support/temporary.ts";

const unexpected = (error: unknown): never => expect.unreachable(String(error));
const at = new Date("2026-11-25T08:00:00.000Z");

function watched(): { readonly store: Store; readonly real: Store; readonly told: StoreNews[] } {
  const real = openStore(join(temporaryFolder("store"), "store.db"));
  onTestFinished(() => real.close());
  const told: StoreNews[] = [];
  return { store: watchStore(real, [(news) => told.push(news)], unexpected), real, told };
}

test("a run is told when it is new and when its status is, and not for what else changes", () => {
  const { store, told } = watched();
  const run = aRun("1", { status: "queued" });
  const save = (status: typeof run.status): void => {
    store.saveRun({ ...run, status }, { event: { kind: "run", status }, at });
  };
  store.saveRun(run);
  store.saveRun({ ...run, cancelRequested: true });
  save("running");
  store.saveRun(
    { ...run, status: "running" },
    { event: { kind: "stage", node: "a", status: "running" }, at },
  );
  save("succeeded");
  expect(told.map((news) => news.kind === "run" && news.run.status)).toEqual([
    "queued",
    "running",
    "succeeded",
  ]);
});

test("a job is told with each of its states, once, however often it is saved", () => {
  const { store, told } = watched();
  const job = aJob("train-1", { cronjob: "train" });
  const cronjob = aCronjob("train");
  const missed = aJob("train-2", { cronjob: "train", status: "missed" });
  store.decideDueTimes([{ cronjob, jobs: [job, missed] }]);
  store.decideDueTimes([{ cronjob, jobs: [job, missed] }]);
  store.saveJobs([{ ...job, status: "active", runs: ["r"] }, missed]);
  store.saveJob({ ...job, status: "succeeded", runs: ["r"] });
  store.saveJob({ ...job, status: "succeeded", runs: [] }); // Its history was trimmed.
  expect(store.addJob(aJob("async-1"))).toBe(true);
  expect(store.addJob(aJob("async-1"))).toBe(false);
  expect(told.map((news) => news.kind === "job" && `${news.job.id} ${news.job.status}`)).toEqual([
    "train-1 waiting",
    "train-2 missed",
    "train-1 active",
    "train-1 succeeded",
    "async-1 waiting",
  ]);
});

test("a service is told with what was stored of it before, by an earlier server too", () => {
  const { store, real, told } = watched();
  const service = aService("serve");
  store.saveServiceStatus(service);
  const next = watchStore(real, [(news) => told.push(news)], unexpected);
  next.saveServiceStatus({ ...service, restarts: 1 });
  next.removeServiceStatus(service.namespace, service.stage);
  next.saveServiceStatus(service);
  expect(
    told.map((news) => news.kind === "service" && [news.before?.restarts, news.service.restarts]),
  ).toEqual([
    [undefined, 0],
    [0, 1],
    [undefined, 0],
  ]);
});

test("what could not be stored is not told", () => {
  const { real, told } = watched();
  const failing = (): never => {
    throw new Error("disk full");
  };
  const full = { ...real, saveRun: failing, saveJob: failing, addJob: failing, saveServiceStatus: failing };
  const store = watchStore(full, [(news) => told.push(news)], unexpected);
  expect(() => store.saveRun(aRun("1", { status: "queued" }))).toThrow("disk full");
  expect(() => store.saveJob(aJob("1"))).toThrow("disk full");
  expect(() => store.addJob(aJob("1"))).toThrow("disk full");
  expect(() => store.saveServiceStatus(aService("serve"))).toThrow("disk full");
  expect(told).toEqual([]);
});

test("a watcher that fails keeps neither what is stored nor the other watchers from it", () => {
  const real = openStore(join(temporaryFolder("store"), "store.db"));
  onTestFinished(() => real.close());
  const faults: unknown[] = [];
  const told: string[] = [];
  const broken = (): never => {
    throw new Error("broken");
  };
  const store = watchStore(real, [broken, ({ kind }) => told.push(kind)], (error) => faults.push(error));
  store.saveRun(aRun("1", { status: "queued" }));
  expect([real.run("1")?.id, told, faults]).toEqual(["1", ["run"], [new Error("broken")]]);
});
