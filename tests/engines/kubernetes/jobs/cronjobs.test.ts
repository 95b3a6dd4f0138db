import { describe, expect, test } from "vitest";

import { ClusterError } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import { at } from "../../../../src/engines/kubernetes/client/objects.ts";
import { managementNamespace as namespace } from "../../../../src/engines/kubernetes/vocabulary.ts";
import { ended, failureOf, request, room, spec, sshKey, url } from "./support.ts";

describe("create cronjob", () => {
  test("makes a CronJob of that name, which is read back as it was asked for", async () => {
    const { createCronjob, cronjobs, cluster } = room();
    const created = await createCronjob(spec({ name: " Daily_train " }));
    expect(created).toMatchObject({ ...spec(), name: "daily-train" });
    expect(created.warnings).toBeUndefined();
    expect(cluster.objects(kinds.cronJob, namespace).map(({ metadata }) => metadata.name)).toEqual([
      "daily-train",
    ]);
    expect(await cronjobs({})).toEqual([
      {
        ...created,
        nextTimes: ["2026-11-26T03:15:00.000Z", "2026-11-27T03:15:00.000Z", "2026-11-28T03:15:00.000Z"],
        words: "At 03:15, every day",
        lastJob: undefined,
      },
    ]);
  });

  test("refuses a name that is taken, also when somebody else was a moment faster", async () => {
    const { createCronjob, cluster } = room();
    await createCronjob(spec());
    const message = "Cannot create cronjob=nightly as it already exists";
    expect(await failureOf(createCronjob(spec()))).toMatchObject({ code: "already-exists", message });
    cluster.remove(kinds.cronJob, { namespace, name: "nightly" });
    cluster.before = ({ verb, kind }) => {
      if (verb !== "create" || kind !== "CronJob") return;
      throw new ClusterError("already-exists", "there");
    };
    expect(await failureOf(createCronjob(spec()))).toMatchObject({ code: "already-exists", message });
  });

  test.each([
    [{ schedule: "60 * * * *" }, "Invalid cronjob schedule: 60 * * * *"],
    [{ timezone: "Europe/Berln" }, "Invalid time zone: Europe/Berln"],
    [{ name: "x".repeat(53) }, `Invalid cronjob name: ${"x".repeat(53)} is longer than 52 characters`],
    [{ retries: 2 ** 31 }, `Invalid number of retries: ${2 ** 31}`],
    [{ historyLimit: -1 }, "Invalid history limit: -1"],
  ])("refuses %o before the cluster is asked", async (change, message) => {
    const { createCronjob, cluster } = room();
    expect(await failureOf(createCronjob(spec(change)))).toMatchObject({ code: "usage", message });
    expect(cluster.calls).toEqual([]);
  });

  test("says all that is wrong at once", async () => {
    const { createCronjob, keys } = room();
    const wrong = spec({ schedule: "1 2 3", timezone: "Mars", request: request({ url: "nowhere" }) });
    const failure = await failureOf(createCronjob(wrong, { sshKey, keep: true }));
    expect(failure.details.join("\n")).toMatch(
      /3 fields.*cronjob=nightly.*time zone: Mars.*--group.*nowhere/s,
    );
    expect(keys.size).toBe(0);
  });

  test("refuses a URL with credentials in it: the cluster would show them", async () => {
    const { createCronjob, cluster } = room();
    const withToken = url.replace("://", "://me:hunter2@");
    const failure = await failureOf(createCronjob(spec({ request: request({ url: withToken }) })));
    expect(failure).toMatchObject({ code: "repository-url" });
    expect(failure.message).not.toContain("hunter2");
    expect(cluster.objects(kinds.cronJob)).toEqual([]);
  });

  test.each([
    ["spec.schedule", "Invalid cronjob schedule: 15 3 * * *"],
    ["spec.timeZone", "Invalid time zone: UTC"],
  ])("tells what the cluster has against %s in its own words", async (field, message) => {
    const { createCronjob, cluster } = room();
    const cause = `${field}: Invalid value: not for us`;
    cluster.before = ({ verb }) => {
      if (verb === "create") throw new ClusterError("invalid", "no", { causes: [cause] });
    };
    const failure = await failureOf(createCronjob(spec()));
    expect(failure).toMatchObject({ code: "usage", message, details: [cause] });
  });

  test("says which namespace is missing, and how it is made", async () => {
    const { createCronjob, cluster } = room();
    cluster.remove(kinds.namespace, { name: namespace });
    expect(await failureOf(createCronjob(spec()))).toMatchObject({
      code: "not-found",
      message: `Could not find namespace=${namespace} on k8s cluster.`,
      hint: "Make it with: bodywork configure-cluster",
    });
  });

  test("is inside the one namespace that the settings name", async () => {
    const { createCronjob, cluster } = room("kubernetes: {single_namespace: default}");
    await createCronjob(spec());
    expect(cluster.objects(kinds.cronJob, "default")).toHaveLength(1);
  });
});

describe("the ssh key of a cronjob", () => {
  const keyOf = (object: unknown): unknown =>
    (
      at(object, "spec", "jobTemplate", "spec", "template", "spec", "containers", 0, "env") as {
        name: string;
      }[]
    ).find(({ name }) => name === "BODYWORK_GIT_SSH_PRIVATE_KEY");
  const privateRequest = request({ url: "ssh://git@forge.test/me/private.git", group: "prod" });

  test("is kept in its group, and its controller is given it", async () => {
    const { createCronjob, keys, cluster } = room();
    expect(
      (await createCronjob(spec({ request: privateRequest }), { sshKey, keep: true })).warnings,
    ).toBeUndefined();
    expect(keys.get("prod")).toBe("a private key");
    expect(keyOf(cluster.objects(kinds.cronJob)[0])).toMatchObject({
      valueFrom: { secretKeyRef: { name: "prod-ssh-git-private-key" } },
    });
  });

  test("is not asked for where there is none: its pod would never start", async () => {
    const { createCronjob, cluster } = room();
    const { warnings } = await createCronjob(spec({ request: privateRequest }));
    expect(keyOf(cluster.objects(kinds.cronJob)[0])).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining("The secrets group prod keeps no ssh key")]);
  });
});

describe("update cronjob", () => {
  test("changes what is given, and leaves what others have noted on it", async () => {
    const { createCronjob, updateCronjob, cronjobs, cluster, setClock } = room();
    const created = await createCronjob(spec({ catchUp: "none" }));
    const [object] = cluster.objects(kinds.cronJob, namespace);
    if (object === undefined) throw new Error("there is none");
    cluster.put({
      ...object,
      metadata: {
        ...object.metadata,
        annotations: { ...object.metadata.annotations, "team.test/owner": "me" },
      },
    });
    setClock("2026-11-25T13:00:00.000Z");
    const updated = await updateCronjob("Nightly", { retries: 5, catchUp: "latest", timezone: undefined });
    expect(updated).toEqual({
      ...created,
      retries: 5,
      catchUp: "latest",
      updatedAt: "2026-11-25T13:00:00.000Z",
    });
    expect(await cronjobs({ name: "nightly" })).toMatchObject([
      { retries: 5, catchUp: "latest", request: request() },
    ]);
    const [after] = cluster.objects(kinds.cronJob, namespace);
    expect(after?.metadata.annotations).toMatchObject({ "team.test/owner": "me" });
    expect(at(after, "spec")).not.toHaveProperty("startingDeadlineSeconds");
  });

  test("of what is not there is refused", async () => {
    expect(await failureOf(room().updateCronjob("gone", { retries: 1 }))).toMatchObject({
      code: "not-found",
      message: "Could not find cronjob=gone",
    });
  });

  test("comes to pass though somebody else changes it at the same time, and gives up at last", async () => {
    const { createCronjob, updateCronjob, cluster } = room();
    await createCronjob(spec());
    let conflicts = 2;
    cluster.before = ({ verb }) => {
      if (verb === "replace" && conflicts-- > 0) throw new ClusterError("conflict", "changed");
    };
    expect((await updateCronjob("nightly", { retries: 3 })).retries).toBe(3);
    conflicts = 100;
    await expect(updateCronjob("nightly", { retries: 4 })).rejects.toThrow();
  });

  test("warns when the cluster takes a time of the new schedule for missed", async () => {
    const { createCronjob, updateCronjob, setClock } = room();
    await createCronjob(spec());
    setClock("2026-11-25T14:30:00.000Z");
    const { warnings } = await updateCronjob("nightly", { schedule: "0 * * * *" });
    expect(warnings).toEqual([expect.stringContaining("2026-11-25 14:00:00+00:00 at once")]);
  });
});

describe("delete cronjob", () => {
  const id = "nightly-29900115";

  test("removes it with its jobs, runs and guards, and says what it has cancelled", async () => {
    const { createCronjob, deleteCronjob, jobs, cronjobs, cluster, ran, putJob, putPod, store, removed } =
      room();
    await createCronjob(spec());
    const cronjob = { name: "nightly", due: "2026-11-25T03:15:00Z" };
    putJob(id, { cronjob, status: { active: 1 } });
    putPod("pod-1", id, {
      phase: "Running",
      containerStatuses: [{ name: "bodywork", state: { running: { startedAt: "2026-11-25T03:15:01Z" } } }],
    });
    ran(id, "run-04", { status: "running" });
    ran("nightly-29898675", "run-03");
    ran("other-29898675", "run-02");
    // Told to end, the controller cancels its run, and its pod goes.
    cluster.before = ({ verb }) => {
      if (verb !== "watch") return;
      setImmediate(() => {
        ran(id, "run-04", { status: "cancelled" });
        cluster.remove(kinds.pod, { namespace, name: "pod-1" });
      });
    };
    expect(await deleteCronjob("NIGHTLY")).toEqual({ found: true, cancelled: ["run-04"] });
    expect(await cronjobs({})).toEqual([]);
    expect(cluster.objects(kinds.job)).toEqual([]);
    expect((await jobs({})).map((job) => job.id)).toEqual(["other-29898675"]);
    expect([store.run("run-03"), store.run("run-04"), removed]).toEqual([
      undefined,
      undefined,
      ["run-04", "run-03"],
    ]);
  });

  test("removes it before its jobs, so that nothing begins meanwhile", async () => {
    const { createCronjob, deleteCronjob, putJob, cluster } = room();
    await createCronjob(spec());
    putJob(id, {
      cronjob: { name: "nightly", due: "2026-11-25T03:15:00Z" },
      status: ended("Complete") ?? {},
    });
    await deleteCronjob("nightly");
    expect(cluster.calls.filter((call) => call.startsWith("delete"))[0]).toBe(
      `delete CronJob ${namespace}/nightly`,
    );
  });

  test("removes what is left of one that somebody else has deleted", async () => {
    const { deleteCronjob, ran, jobs } = room();
    ran(id, "run-03");
    expect(await deleteCronjob("nightly")).toEqual({ found: true, cancelled: [] });
    expect(await jobs({})).toEqual([]);
    expect(await deleteCronjob("nightly")).toEqual({ found: false });
  });

  test("leaves a CronJob alone that is not ours", async () => {
    const { deleteCronjob, cluster, cronjobs } = room();
    cluster.put({
      apiVersion: "batch/v1",
      kind: "CronJob",
      metadata: { name: "backup", namespace },
      spec: {},
    });
    expect(await cronjobs({})).toEqual([]);
    expect(await deleteCronjob("backup")).toEqual({ found: false });
    expect(cluster.objects(kinds.cronJob)).toHaveLength(1);
  });
});
