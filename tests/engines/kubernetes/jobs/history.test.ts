import { describe, expect, test } from "vitest";

import { ClusterError } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import { removeSlots, slotIsTaken } from "../../../../src/engines/kubernetes/jobs/cron-slot.ts";
import { managementNamespace as namespace } from "../../../../src/engines/kubernetes/vocabulary.ts";
import { room, spec } from "./support.ts";

describe("the history of a cronjob", () => {
  test("keeps the newest succeeded and the newest other jobs, as many of each as it says", async () => {
    const { createCronjob, pruneHistory, jobs, ran, removed } = room();
    await createCronjob(spec({ historyLimit: 1 }));
    for (const [minutes, status] of [
      [29_900_001, "succeeded"],
      [29_900_002, "failed"],
      [29_900_003, "cancelled"],
      [29_900_004, "succeeded"],
      [29_900_005, "running"],
    ] as const) {
      ran(`nightly-${minutes}`, `run-0${minutes % 10}`, { status });
    }
    ran("other-29900001", "run-09");
    ran("async-workflow-a", "run-08");
    await pruneHistory("nightly");
    expect((await jobs({ cronjob: "nightly" })).map(({ status }) => status)).toEqual([
      ...["active", "succeeded", "cancelled"],
    ]);
    expect(removed.toSorted()).toEqual(["run-01", "run-02"]);
    expect(await jobs({})).toHaveLength(5);
  });

  test("counts the job whose controller asks, which the cluster still sees at work", async () => {
    const { createCronjob, pruneHistory, jobs, ran, putJob } = room();
    await createCronjob(spec({ historyLimit: 1 }));
    ran("nightly-29900001", "run-01");
    putJob("nightly-29900002", {
      cronjob: { name: "nightly", due: "2026-11-25T03:15:00Z" },
      status: { active: 1 },
    });
    ran("nightly-29900002", "run-02");
    await pruneHistory("nightly");
    expect((await jobs({ cronjob: "nightly" })).flatMap(({ runs }) => runs)).toEqual(["run-02"]);
  });

  test("that can't be looked through now fails no controller, and goes on after the next job", async () => {
    const { createCronjob, pruneHistory, jobs, ran, cluster } = room();
    await createCronjob(spec({ historyLimit: 0 }));
    ran("nightly-29900001", "run-01");
    cluster.before = () => {
      throw new ClusterError("unreachable", "gone");
    };
    await pruneHistory("nightly");
    cluster.before = undefined;
    expect(await jobs({})).toHaveLength(1);
    await pruneHistory("nightly");
    expect(await jobs({})).toEqual([]);
  });

  test("goes with all runs when the cronjob is gone", async () => {
    const { pruneHistory, jobs, ran } = room();
    ran("nightly-29900001", "run-01");
    await pruneHistory("nightly");
    expect(await jobs({})).toEqual([]);
  });

  test("of --async is the newest hundred jobs", async () => {
    const { pruneHistory, jobs, ran } = room();
    for (let number = 0; number < 102; number += 1) {
      const time = String(number).padStart(3, "0");
      ran(`async-workflow-${time}`, `run-${time}`, { createdAt: `2026-11-25T10:00:00.${time}Z` });
    }
    await pruneHistory(undefined);
    const left = (await jobs({ cronjob: null })).map(({ id }) => id);
    expect([left.length, left.at(-1)]).toEqual([100, "async-workflow-002"]);
  });
});

describe("a due time that Kubernetes starts twice", () => {
  const job = { namespace, name: "nightly-29900115" };
  const cronjob = { name: "nightly", due: "2026-11-25T03:15:00Z" };

  test("is carried out by the first Job only, and by every pod of that", async () => {
    const { cluster, putJob } = room();
    putJob(job.name, { cronjob });
    expect([await slotIsTaken(cluster, job), await slotIsTaken(cluster, job)]).toEqual([false, false]);
    // Its Job is removed, and the cluster makes another of the same name.
    cluster.remove(kinds.job, job);
    expect(await slotIsTaken(cluster, job)).toBe(true);
    putJob(job.name, { cronjob });
    expect(await slotIsTaken(cluster, job)).toBe(true);
  });

  test("is no matter for a Job that no due time has made", async () => {
    const { cluster, putJob } = room();
    putJob("async-workflow-a", {});
    expect(await slotIsTaken(cluster, { namespace, name: "async-workflow-a" })).toBe(false);
    expect(cluster.objects(kinds.configMap)).toEqual([]);
  });

  test("is remembered for the newest ten only, and not longer than the cronjob is there", async () => {
    const { cluster, putJob, createCronjob, pruneHistory } = room();
    await createCronjob(spec());
    for (let hour = 10; hour < 22; hour += 1) {
      const due = `2026-11-25T${hour}:15:00Z`;
      const name = `nightly-${Math.floor(Date.parse(due) / 60_000)}`;
      putJob(name, { cronjob: { name: "nightly", due } });
      await slotIsTaken(cluster, { namespace, name });
    }
    await pruneHistory("nightly");
    const left = cluster.objects(kinds.configMap).map(({ data }) => (data as { due: string }).due);
    expect([left.length, left.toSorted()[0]]).toEqual([10, "2026-11-25T12:15:00.000Z"]);
    await removeSlots({ cluster, namespace }, "nightly", "all");
    expect(cluster.objects(kinds.configMap)).toEqual([]);
  });
});
