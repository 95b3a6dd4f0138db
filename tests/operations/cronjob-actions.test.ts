import { describe, expect, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import type { Cronjob, CronjobSpec, Job } from "../../src/core/job-state.ts";
import { sshKeySecret } from "../../src/core/secret-state.ts";
import { SecretValue } from "../../src/core/secret-value.ts";
import { createCronjobActions } from "../../src/operations/cronjob-actions.ts";
import type { CronjobActions } from "../../src/operations/operations.ts";
import { aCronjob } from "../support/cronjobs.ts";
import { projectUrl, serverOf, type TestServer, type World, world } from "../support/operations-harness.ts";
import { project } from "../support/project-text.ts";

const credentials = { sshKey: new SecretValue("a private key"), keep: true };

interface Actions extends CronjobActions {
  readonly the: World;
  readonly server: TestServer;
  woken(): number;
  setClock(time: string): void;
}

function actions(): Actions {
  const the = world();
  the.source.push(projectUrl, project("a", { a: "batch" }));
  const server = serverOf(the);
  let woken = 0;
  let now = "2026-11-23T10:00:00.000Z";
  const made = createCronjobActions({
    store: server.store,
    jobs: server.jobs,
    source: the.source,
    secrets: the.secrets,
    clock: { ...the.clock, now: () => new Date(now) },
    wake: () => {
      woken += 1;
    },
  });
  return {
    ...made,
    the,
    server,
    woken: () => woken,
    setClock: (time) => {
      now = time;
    },
  };
}

function spec(change: Partial<CronjobSpec> = {}): CronjobSpec {
  const { createdAt, updatedAt, decidedUntil, ...wanted } = aCronjob();
  return { ...wanted, request: { ...wanted.request, url: projectUrl }, ...change };
}

describe("create", () => {
  test("keeps the cronjob, decided up to now, and wakes the scheduler", async () => {
    const { createCronjob, server, woken } = actions();
    const created = await createCronjob(spec({ request: { ...spec().request, startedBy: "command" } }));
    expect(created).toEqual({
      ...spec(),
      createdAt: "2026-11-23T10:00:00.000Z",
      updatedAt: "2026-11-23T10:00:00.000Z",
      decidedUntil: "2026-11-23T10:00:00.000Z",
    });
    expect(server.store.cronjob("train")).toEqual(JSON.parse(JSON.stringify(created)));
    expect(woken()).toBe(1);
  });

  test("makes a name that Kubernetes takes, and finds it by the one that was given", async () => {
    const { createCronjob, updateCronjob, deleteCronjob } = actions();
    expect((await createCronjob(spec({ name: " Daily_train " }))).name).toBe("daily-train");
    expect((await updateCronjob("Daily_train", { retries: 3 })).retries).toBe(3);
    await expect(createCronjob(spec({ name: "daily__train" }))).rejects.toThrow(
      "Cannot create cronjob=daily-train as it already exists",
    );
    expect(await deleteCronjob("DAILY-TRAIN")).toMatchObject({ found: true });
  });

  test.each<[Partial<CronjobSpec>, string, readonly string[], string | undefined]>([
    [{ schedule: "60 * * * *" }, "Invalid cronjob schedule: 60 * * * *", ["minute 60: 0 to 59"], undefined],
    [{ timezone: "Europe/Berln" }, "Invalid time zone: Europe/Berln", [], "Did you mean Europe/Berlin?"],
    [{ timezone: "europe/berlin" }, "Invalid time zone: europe/berlin", [], "Did you mean Europe/Berlin?"],
    [{ timezone: "+02:00" }, "Invalid time zone: +02:00", [], "Use an IANA name, such as Europe/Berlin."],
    [
      { name: "x".repeat(53) },
      `Invalid cronjob name: ${"x".repeat(53)} is longer than 52 characters`,
      [],
      undefined,
    ],
    [{ retries: -1 }, "Invalid number of retries: -1", [], undefined],
    [{ historyLimit: 1.5 }, "Invalid history limit: 1.5", [], undefined],
  ])("refuses %o", async (change, message, details, hint) => {
    const { createCronjob, server, woken } = actions();
    const failure = await failureOf(createCronjob(spec(change)));
    expect(failure).toMatchObject({ code: "usage", message, details, hint });
    expect(server.store.cronjobs()).toEqual([]);
    expect(woken()).toBe(0);
  });

  test("refuses a name of which nothing legal is left, and a URL that is none", async () => {
    const { createCronjob } = actions();
    expect((await failureOf(createCronjob(spec({ name: "a." })))).message).toMatch(
      /^Invalid cronjob name: a\. is not made of small letters, digits and hyphens/,
    );
    const failure = await failureOf(createCronjob(spec({ request: { ...spec().request, url: "nowhere" } })));
    expect(failure).toMatchObject({
      code: "repository-url",
      message: 'Cannot use the repository "nowhere".',
    });
  });

  test("says all that is wrong at once, the schedule first", async () => {
    const { createCronjob } = actions();
    const request = { ...spec().request, url: "nowhere" };
    const wrong = spec({ name: "-x", schedule: "1 2 3", timezone: "Mars", request });
    const failure = await failureOf(createCronjob(wrong, credentials));
    expect(failure.message).toBe("Invalid cronjob schedule: 1 2 3");
    expect(failure.details.join("\n")).toMatch(
      /3 fields.*cronjob=-x.*time zone: Mars.*cronjob name: -x.*--group.*"nowhere"/s,
    );
  });

  test("refuses a URL with credentials in it: they are stored nowhere", async () => {
    const { createCronjob, server } = actions();
    const url = projectUrl.replace("://", "://me:hunter2@");
    const failure = await failureOf(createCronjob(spec({ request: { ...spec().request, url } })));
    expect(failure.code).toBe("repository-url");
    expect(failure.message).not.toContain("hunter2");
    expect(server.store.cronjobs()).toEqual([]);
  });
});

describe("a repository or branch that is not there", () => {
  const gone = `${projectUrl}-gone`;

  test("is warned of, and the cronjob is kept: it may be there when it is due", async () => {
    const { createCronjob, server } = actions();
    const { warnings } = await createCronjob(spec({ request: { ...spec().request, url: gone } }));
    expect(warnings).toEqual([`As it is now, nothing can be deployed. There is no repository ${gone}.`]);
    expect(server.store.cronjob("train")?.request.url).toBe(gone);
    expect(server.store.cronjob("train")).not.toHaveProperty("warnings");
  });

  test("is warned of when an update names it, and not when it leaves it as it is", async () => {
    const { createCronjob, updateCronjob } = actions();
    expect((await createCronjob(spec())).warnings).toBeUndefined();
    const request = { ...spec().request, url: gone };
    expect((await updateCronjob("train", { request })).warnings).toHaveLength(1);
    expect((await updateCronjob("train", { request, suspended: true })).warnings).toBeUndefined();
  });

  test("is looked for by its branch, with the key that is given or kept", async () => {
    const { createCronjob, updateCronjob, the } = actions();
    const url = "ssh://forge.test/me/private.git";
    the.source.push(url, project("a", { a: "batch" }));
    const request = { ...spec().request, url, branch: "main", group: "prod" };
    await createCronjob(spec({ request }), credentials);
    await updateCronjob("train", { request: { ...request, branch: "next" } });
    expect(the.source.asked).toMatchObject([
      { url, ref: "main", sshKey: "a private key" },
      { url, ref: "next", sshKey: "a private key" },
    ]);
  });
});

describe("the ssh key of a private repository", () => {
  test("is kept in the group, where later runs find it", async () => {
    const { createCronjob, the } = actions();
    await createCronjob(spec({ request: { ...spec().request, group: "prod" } }), credentials);
    expect(the.secrets.read("prod", sshKeySecret.name)?.[sshKeySecret.key]?.reveal()).toBe("a private key");
  });

  test("is not taken without a group, and nothing is kept", async () => {
    const { createCronjob, server, the } = actions();
    expect(await failureOf(createCronjob(spec(), credentials))).toMatchObject({
      code: "usage",
      hint: "Please specify one with --group.",
    });
    expect(server.store.cronjobs()).toEqual([]);
    expect(the.secrets.secrets({})).toEqual([]);
  });

  test("is not kept for a cronjob that is refused", async () => {
    const { createCronjob, the } = actions();
    const request = { ...spec().request, group: "prod" };
    await failureOf(createCronjob(spec({ schedule: "x", request }), credentials));
    expect(the.secrets.secrets({})).toEqual([]);
  });
});

describe("update", () => {
  test("changes only what is given", async () => {
    const { createCronjob, updateCronjob, setClock, woken } = actions();
    const created = await createCronjob(spec());
    setClock("2026-11-23T10:30:00.000Z");
    const updated = await updateCronjob("train", { retries: 5, suspended: true, timezone: undefined });
    expect(updated).toEqual({
      ...created,
      retries: 5,
      suspended: true,
      updatedAt: "2026-11-23T10:30:00.000Z",
    });
    expect(woken()).toBe(2);
  });

  test.each([{ schedule: "*/5 * * * *" }, { timezone: "Asia/Tokyo" }])(
    "to other times decides up to now, so that none of the past is made up for: %o",
    async (change) => {
      const { createCronjob, updateCronjob, setClock, server } = actions();
      await createCronjob(spec());
      setClock("2026-11-23T10:30:00.000Z");
      expect((await updateCronjob("train", change)).decidedUntil).toBe("2026-11-23T10:30:00.000Z");
      // A clock that was set back makes nothing due again.
      setClock("2026-11-23T09:00:00.000Z");
      await updateCronjob("train", { schedule: "0 1 * * *" });
      expect(server.store.cronjob("train")?.decidedUntil).toBe("2026-11-23T10:30:00.000Z");
    },
  );

  test("of what is not there, or to what can't be, is refused and changes nothing", async () => {
    const { createCronjob, updateCronjob, server } = actions();
    expect(await failureOf(updateCronjob("gone", { retries: 2 }))).toMatchObject({
      code: "not-found",
      message: "Could not find cronjob=gone",
    });
    await createCronjob(spec());
    const before = server.store.cronjob("train");
    expect((await failureOf(updateCronjob("train", { schedule: "@never" }))).message).toBe(
      "Invalid cronjob schedule: @never",
    );
    expect(server.store.cronjob("train")).toEqual(before);
  });
});

describe("delete", () => {
  test("removes the cronjob with its history, and cancels what runs of it first", async () => {
    const { createCronjob, deleteCronjob, server, the } = actions();
    const cronjob = await createCronjob(spec());
    await createCronjob(spec({ name: "other" }));
    the.machine.behaviours.set("a", { does: "wait" });
    const jobs = [
      aJob("train-1", cronjob),
      aJob("train-2", cronjob, { status: "missed", why: "no server ran" }),
      aJob("train-3", cronjob),
    ];
    const [running] = server.store.decideDueTimes([{ cronjob, jobs }]);
    if (running !== undefined) server.jobs.start(running);
    await until(() => server.store.job("train-1")?.runs.length === 1);
    const [runId = ""] = server.store.job("train-1")?.runs ?? [];
    await until(() => server.store.run(runId)?.status === "running");

    expect(await deleteCronjob("train")).toEqual({ found: true, cancelled: [runId] });
    expect(server.store.cronjobs().map(({ name }) => name)).toEqual(["other"]);
    expect(server.store.jobs({})).toEqual([]);
    expect(server.store.run(runId)).toBeUndefined();
  });

  test("lets nothing begin while it goes on", async () => {
    const { createCronjob, server, the } = actions();
    const cronjob = await createCronjob(spec());
    server.store.decideDueTimes([{ cronjob, jobs: [aJob("train-1", cronjob)] }]);
    const seen: (Cronjob | undefined)[] = [];
    const { deleteCronjob } = createCronjobActions({
      store: server.store,
      jobs: {
        async deleteJob() {
          seen.push(server.store.cronjob("train"));
          return { found: true };
        },
      },
      source: the.source,
      secrets: the.secrets,
      clock: the.clock,
      wake: () => {},
    });
    await deleteCronjob("train");
    expect(seen.map((found) => found?.suspended)).toEqual([true]);
  });

  test("of what is not there finds nothing", async () => {
    expect(await actions().deleteCronjob("gone")).toEqual({ found: false });
  });
});

function aJob(id: string, { name, request, retries }: Cronjob, change: Partial<Job> = {}): Job {
  return {
    id,
    cronjob: name,
    dueAt: "2026-11-23T11:00:00.000Z",
    status: "waiting",
    why: undefined,
    request,
    retries,
    runs: [],
    nextRunAt: undefined,
    startedAt: undefined,
    endedAt: undefined,
    ...change,
  };
}

async function until(isSo: () => boolean): Promise<void> {
  for (let turns = 0; !isSo(); turns += 1) {
    if (turns > 10_000) throw new Error("it never came to that");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof Failure) return error;
  throw new Error(`it did not fail as expected: ${String(error)}`);
}
