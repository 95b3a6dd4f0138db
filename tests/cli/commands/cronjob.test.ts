import { describe, expect, test } from "vitest";
import { Failure } from "../../../src/core/failure.ts";
import type { Cronjob, CronjobSpec } from "../../../src/core/job-state.ts";
import { SecretValue } from "../../../src/core/secret-value.ts";
import type {
  CronjobChange,
  CronjobView,
  RepositoryCredentials,
} from "../../../src/operations/operations.ts";
import { aCronjob } from "../../support/cronjobs.ts";
import { aJob } from "../support/records.ts";
import { type Parts, run } from "../support/terminal.ts";

const url = "https://forge.test/me/my-project";

describe("create cronjob", () => {
  test("says so on standard output, and on standard error what it means", async () => {
    const { result, created } = await create(
      "--name nightly --schedule",
      "15 3 * * *",
      "--timezone Europe/Berlin",
    );
    expect(result).toMatchObject({ exitCode: 0, stdout: "Created cronjob=nightly\n" });
    expect(result.stderr.split("\n")).toEqual([
      "engine: local (no kubeconfig on this machine)",
      "Schedule: At 03:15, every day (time zone Europe/Berlin)",
      "Next: 2026-11-24 03:15:00+01:00, 2026-11-25 03:15:00+01:00, 2026-11-26 03:15:00+01:00",
      "",
    ]);
    expect(created).toEqual([
      {
        name: "nightly",
        schedule: "15 3 * * *",
        timezone: "Europe/Berlin",
        request: {
          url,
          branch: undefined,
          acceptHostKey: undefined,
          strict: false,
          group: undefined,
          startedBy: "cron",
        },
        retries: 1,
        historyLimit: 1,
        concurrency: "forbid",
        catchUp: "latest",
        suspended: false,
      },
    ]);
  });

  test("tells what the server warns of, with 0, and leaves the record as it is", async () => {
    const warnings = ["As it is now, nothing can be deployed. There is no branch dev."];
    const parts: Parts = {
      operations: { createCronjob: async (spec) => ({ ...aCronjob(), ...spec, warnings }) },
    };
    const line = `create cronjob ${url} --name x --schedule @daily --branch dev`;
    const { exitCode, stderr } = await run(line, parts);
    expect(exitCode).toBe(0);
    expect(stderr).toContain(`Warning: ${warnings[0]}\n`);
    const { stdout } = await run(`${line} --output json`, parts);
    expect(JSON.parse(stdout)).not.toHaveProperty("warnings");
  });

  test("warns of a schedule that never fires, also of one that is suspended", async () => {
    for (const more of ["", "--suspend"]) {
      const { result } = await create(`--name x ${more} --schedule`, "0 0 30 2 *");
      expect(result.stderr).toContain("Warning: No day of the next five years is one of 0 0 30 2 *");
    }
  });

  test("goes by UTC when no zone is given, and says that", async () => {
    const { result, created } = await create("--name x --schedule @hourly");
    expect(created[0]?.timezone).toBe("UTC");
    expect(result.stderr).toContain("Schedule: Every hour (time zone UTC; --timezone sets another)\n");
    expect(result.stderr).toContain("Next: 2026-11-23 20:00:00+00:00, ");
  });

  test("takes every option, before and after the URL", async () => {
    const { created } = await create(
      "--branch=main --retries 2 --history-limit=5 --concurrency replace --catch-up all --suspend --strict --secrets-group prod --accept-host-key SHA256:x --name My_Project --schedule",
      "0,30 * * * *",
    );
    expect(created[0]).toMatchObject({
      name: "my-project",
      schedule: "0,30 * * * *",
      request: { branch: "main", strict: true, group: "prod", acceptHostKey: "SHA256:x" },
      retries: 2,
      historyLimit: 5,
      concurrency: "replace",
      catchUp: "all",
      suspended: true,
    });
  });

  test("takes an empty option for one that was not given, as in the original", async () => {
    const { created } = await create("--name x --schedule @daily --branch= --group= --ssh=");
    expect(created[0]?.request).toMatchObject({ branch: undefined, group: undefined });
  });

  test.each([
    ["--schedule @daily", "Missing option '--name'."],
    ["--name x", "Missing option '--schedule'."],
  ])("with %s is wrong usage", async (options, message) => {
    const { result, created } = await create(options);
    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain(message);
    expect(created).toEqual([]);
  });

  test("refuses what the server refuses with 1, and what to do about it below", async () => {
    const failure = new Failure("usage", "Invalid cronjob schedule: 60 * * * *", {
      details: ["minute 60: 0 to 59"],
      hint: "Look it up.",
    });
    const { result } = await create("--name x --schedule", "60 * * * *", "", failure);
    expect(result).toMatchObject({ exitCode: 1, stdout: "Invalid cronjob schedule: 60 * * * *\n" });
    expect(result.stderr).toContain("\n  minute 60: 0 to 59\nHint: Look it up.\n");

    const there = new Failure("already-exists", "Cannot create cronjob=x as it already exists");
    expect((await create("--name x --schedule @daily", "", "", there)).result).toMatchObject({
      exitCode: 1,
      stdout: "Cannot create cronjob=x as it already exists\n",
    });
  });

  test("gives a program the refusal as a record, with 1 too", async () => {
    const failure = new Failure("usage", "Invalid cronjob schedule: x");
    const { result } = await create("--name x --schedule x --output json", "", "", failure);
    expect(result.exitCode).toBe(1);
    expect(JSON.parse(result.stdout)).toEqual({
      error: { code: "usage", message: "Invalid cronjob schedule: x", details: [] },
    });
  });

  test("leaves other failures to whoever explains them", async () => {
    const failure = new Failure("server-unreachable", "The server does not answer.");
    const { result } = await create("--name x --schedule @daily", "", "", failure);
    expect(result).toMatchObject({ exitCode: 1, stdout: "" });
    expect(result.stderr).toContain("Error: The server does not answer.\n");
  });

  test.each([
    ["daily-train", '"daily-train" fires every hour (0 * * * *): did you mean "0 0 * * *"?'],
    ["train", undefined],
  ])("of the name %s at 0 * * * * warns: %s", async (name, warning) => {
    const { result } = await create(`--name ${name} --schedule`, "0 * * * *");
    expect(result.exitCode).toBe(0);
    if (warning === undefined) expect(result.stderr).not.toContain("Warning");
    else expect(result.stderr).toContain(`Warning: ${warning}\n`);
  });

  test("warns of a schedule that never comes, and says of a suspended one that nothing will run", async () => {
    expect((await create("--name x --schedule", "0 0 30 2 *")).result.stderr).toContain(
      "Warning: No day of the next five years is one of 0 0 30 2 *: nothing will be deployed.\n",
    );
    const { stderr } = (await create("--name x --schedule @daily --suspend")).result;
    expect(stderr).toContain("It is suspended: due times are skipped until --no-suspend.\n");
    expect(stderr).not.toContain("Next:");
  });

  test.each(["--ssh", "--ssh-key-path"])("reads the key of %s and has it kept", async (option) => {
    const { credentials, files } = await create(
      `--name x --schedule @daily --group prod ${option} id_rsa`,
      ...["", "", undefined, sshUrl],
    );
    expect(files).toEqual(["/home/me/id_rsa"]);
    expect(credentials[0]?.keep).toBe(true);
    expect(credentials[0]?.sshKey.reveal()).toBe(privateKey);
  });

  test.each([
    ["that is not there", "gone", "Could not find key file at /home/me/gone"],
    ["that is a public one", "id.pub", "Cannot use /home/me/id.pub as an ssh key: it is no private key."],
  ])("takes a key file %s for wrong usage, as a deployment does", async (_, file, message) => {
    const { result, created } = await create(
      `--name x --schedule @daily --ssh ${file} --group prod`,
      ...["", "", undefined, sshUrl],
    );
    expect(result).toMatchObject({ exitCode: 2, stdout: "" });
    expect(result.stderr).toContain(`Error: ${message}\n`);
    expect(created).toEqual([]);
  });

  test("says that a key is of no use for a repository that is not reached over ssh, and does not send it", async () => {
    const { result, credentials, files } = await create("--name x --schedule @daily --ssh id --group prod");
    expect(result.exitCode).toBe(0);
    expect(result.stderr).toContain(
      `Warning: --ssh is not used, nor is the key kept: ${url} is no ssh address.`,
    );
    expect([credentials, files]).toEqual([[undefined], []]);
  });

  test.each([
    [["--name", "", "--schedule", "@daily"], "--name"],
    [["--name", "x", "--schedule", ""], "--schedule"],
    [["--name", "x", "--schedule", "@daily", "--retries", "99999999999"], "--retries"],
    [["--name", "x", "--schedule", "@daily", "--history-limit", "10001"], "--history-limit"],
  ])("takes %j for wrong usage, and names the option", async (options, option) => {
    const { exitCode, stderr } = await run(["create", "cronjob", url, ...options], {});
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(new RegExp(`Error: Invalid value for '${option}'`));
  });

  test("prints the cronjob as a record with --output", async () => {
    const { result } = await create("--name x --schedule @daily --output json");
    expect(JSON.parse(result.stdout)).toMatchObject({ name: "x", schedule: "@daily", timezone: "UTC" });
  });
});

describe("update cronjob", () => {
  test("changes what is given and leaves the rest", async () => {
    const { result, changes } = await update("--branch=main --name=train --schedule", "0,0 1 * * *");
    expect(result).toMatchObject({ exitCode: 0, stdout: "Updated cronjob=train\n" });
    expect(changes).toEqual([
      [
        "train",
        {
          schedule: "0,0 1 * * *",
          timezone: undefined,
          request: { ...existing.request, url, branch: "main" },
          retries: undefined,
          historyLimit: undefined,
          concurrency: undefined,
          catchUp: undefined,
          suspended: undefined,
        },
      ],
    ]);
    expect(result.stderr).toContain("Schedule: At 01:00, every day (time zone Asia/Tokyo)");
  });

  test("needs no schedule, and keeps the branch and the group", async () => {
    const { changes } = await update("--name train --no-suspend --retries 0 --no-strict");
    expect(changes[0]?.[1]).toMatchObject({
      schedule: undefined,
      request: { branch: "production", group: "prod", strict: false },
      retries: 0,
      suspended: false,
    });
    expect((await update("--name train --suspend")).changes[0]?.[1]).toMatchObject({
      suspended: true,
      request: { strict: true },
    });
  });

  test("of one that is not there is refused with 1", async () => {
    const { result, changes } = await update("--name gone --schedule @daily");
    expect(result).toMatchObject({ exitCode: 1, stdout: "Could not find cronjob=gone\n" });
    expect(changes).toEqual([]);
  });

  test("without a name is wrong usage", async () => {
    expect((await update("--schedule @daily")).result.exitCode).toBe(2);
  });
});

describe("get cronjob", () => {
  test("lists all of them", async () => {
    const { exitCode, stdout } = await run("get cronjobs", views());
    expect(exitCode).toBe(0);
    expect(stdout.split("\n")[0]).toBe("cronjobs");
    expect(stdout).toMatch(/^Name +Git Repository URL +Schedule/m);
    expect(stdout).toMatch(
      /^train +https:\/\/forge\.test\/me\/my-project +0 \* \* \* \* .*2026-11-24 05:00:00\+09:00 +succeeded$/m,
    );
    expect(stdout).toMatch(/^other .* suspended$/m);
  });

  test.each(["get cronjob", "get cronjobs", "get cronjob --history"])(
    "with none is an empty list and 0: %s",
    async (line) => {
      const { exitCode, stdout } = await run(line, { operations: { cronjobs: async () => [] } });
      expect(exitCode).toBe(0);
      expect(stdout).toMatch(/^cronjobs\nName +Git Repository URL/);
    },
  );

  test("shows one, the original's fields first", async () => {
    const { exitCode, stdout } = await run("get cronjob Train", views());
    expect(exitCode).toBe(0);
    expect(stdout.split("\n")[0]).toBe("train");
    expect([...stdout.matchAll(/^([a-z_]+) {2}/gm)].map(([, field]) => field).slice(0, 6)).toEqual([
      "schedule",
      "last_scheduled_time",
      "retries",
      "git_url",
      "git_branch",
      "timezone",
    ]);
    for (const line of [
      /schedule.+0 \* \* \* \*/,
      /last_scheduled_time.+2026-11-23 19:05:12\+00:00/,
      /retries.+2/,
      /git_url.+https:\/\/forge\.test\/me\/my-project/,
      /git_branch.+production/,
      /timezone.+Asia\/Tokyo/,
      /in_words.+Every hour/,
      /next_times.+2026-11-24 05:00:00\+09:00/,
      /concurrency.+forbid/,
      /catch_up.+latest/,
      /suspended.+False/,
      /history_limit.+1/,
      /secrets_group.+prod/,
    ]) {
      expect(stdout).toMatch(line);
    }
  });

  test("shows None for what never was", async () => {
    const { stdout } = await run("get cronjob other", views());
    expect(stdout).toMatch(/last_scheduled_time +None/);
    expect(stdout).toMatch(/next_times +None/);
  });

  test.each(["", "--history", "--no-history"])(
    "of one that is not there %s is refused with 1",
    async (option) => {
      const { exitCode, stdout, stderr } = await run(`get cronjob gone ${option}`, views());
      expect([exitCode, stdout]).toEqual([1, "Could not find cronjob=gone\n"]);
      expect(stderr).toBe("Hint: There are: train, other\n");
    },
  );

  test("shows the history: a table for each job that has runs, and what became of each due time", async () => {
    const { exitCode, stdout } = await run("get cronjob train --history", views());
    expect(exitCode).toBe(0);
    expect([...stdout.matchAll(/^run ID = (.*)$/gm)].map(([, id]) => id)).toEqual(["train-3", "train-1"]);
    expect(stdout).toMatch(/start_time +2026-11-23 19:05:12/);
    expect(stdout).toMatch(/active +False/);
    expect(stdout).toMatch(/succeeded +True/);
    const due = stdout.slice(stdout.indexOf("due times of train"));
    expect(due).toMatch(/^2026-11-24 04:06:12\+09:00 +ran, active +0\.3s +train-3$/m);
    expect(due).toMatch(/^2026-11-24 04:05:42\+09:00 +skipped +train-1 is still running +train-2$/m);
    expect(due).toMatch(/^2026-11-24 04:05:12\+09:00 +ran, succeeded +0\.3s +train-1$/m);
    expect(due).toMatch(/^2026-11-24 04:00:00\+09:00 +missed +no server ran +train-0$/m);
  });

  test("lists no more due times than --limit, and gives them as records", async () => {
    const { stdout } = await run("get cronjob train --history --limit 2 --output json", views());
    expect(JSON.parse(stdout).map(({ id }: { id: string }) => id)).toEqual(["train-3", "train-2"]);
  });

  test("shows the log of a job, whatever NAME is", async () => {
    const jobLog = async function* (id: string) {
      yield {
        kind: "log",
        at: "2026-11-23T19:05:13.000Z",
        node: "a",
        source: "attempt 1",
        text: `of ${id}\n`,
      } as const;
    };
    const { exitCode, stdout } = await run("get cronjob whatever --logs train-1", { operations: { jobLog } });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/logs for run ID = train-1/);
    expect(stdout).toMatch(/of train-1/);
    expect(await run("get cronjob --logs train-1", { operations: { jobLog } })).toMatchObject({
      exitCode,
      stdout,
    });
  });

  test.each(["get cronjobs --limit 3", "get cronjob train --limit 3"])(
    "says that --limit is for the history alone: %s",
    async (line) => {
      const { exitCode, stderr } = await run(line, views());
      expect([exitCode, stderr]).toEqual([
        0,
        "--limit is inactive here: it is for the --history of a cronjob.\n",
      ]);
      expect((await run("get cronjob train --history --limit 3", views())).stderr).toBe("");
    },
  );

  test("warns that --history and --logs exclude each other, once, with 1", async () => {
    const { exitCode, stdout, stderr } = await run("get cronjob train --history --logs train-1", views());
    expect([exitCode, stdout]).toEqual([1, ""]);
    expect(stderr).toBe("Warning: --history and --logs are mutually exclusive: give one of them.\n");
  });

  test("gives records with --output", async () => {
    expect(JSON.parse((await run("get cronjobs --output json", views())).stdout)).toHaveLength(2);
    expect(JSON.parse((await run("get cronjob train --output json", views())).stdout)).toMatchObject({
      name: "train",
      nextTimes: ["2026-11-23T20:00:00.000Z"],
    });
  });
});

describe("records", () => {
  const keysOf = (text: string): readonly string[][] =>
    (JSON.parse(text) as object[]).map((record) => Object.keys(record));

  test("of jobs have the same keys whatever became of them, null where nothing is known", async () => {
    const { stdout } = await run("get cronjob train --history --output json", views());
    const keys = keysOf(stdout);
    expect(keys).toHaveLength(4);
    expect(new Set(keys.map(String)).size).toBe(1);
    const [active, skipped] = JSON.parse(stdout);
    expect(active).toMatchObject({ id: "train-3", lateSeconds: 0.3, endedAt: null, why: null });
    expect(skipped).toMatchObject({ id: "train-2", lateSeconds: null, startedAt: null, nextRunAt: null });
    expect(active.request).toEqual({
      ...{ url, branch: null, acceptHostKey: null, strict: false, group: null },
      ...{ image: null, checkImage: null, startedBy: "command", job: null },
    });
  });

  test("of cronjobs have the same keys whether there was a job or not, in YAML too", async () => {
    const { stdout } = await run("get cronjobs --output json", views());
    const [first, other] = JSON.parse(stdout);
    expect(Object.keys(other)).toEqual(Object.keys(first));
    expect(Object.keys(other.request)).toEqual(Object.keys(first.request));
    expect(first.lastJob).toMatchObject({ lateSeconds: expect.any(Number) });
    expect(other.lastJob).toBeNull();
    const yaml = await run("get cronjob other --output yaml", views());
    expect(yaml.stdout).toContain("lastJob: null\n");
  });
});

describe("delete cronjob", () => {
  const deleting = (found: boolean, deleted: string[] = []): Parts => ({
    operations: {
      deleteCronjob: async (name) => {
        deleted.push(name);
        return { found };
      },
    },
  });

  test("deletes and says so", async () => {
    const deleted: string[] = [];
    const result = await run("delete cronjob My_Train", deleting(true, deleted));
    expect(result).toMatchObject({ exitCode: 0, stdout: "Deleted cronjob=my-train\n" });
    expect(deleted).toEqual(["my-train"]);
  });

  test("says what it has cancelled", async () => {
    const deleteCronjob = async () => ({ found: true, cancelled: ["20261123-1"] });
    const { stderr } = await run("delete cronjob train", { operations: { deleteCronjob } });
    expect(stderr).toContain("Cancelled run 20261123-1 of it.\n");
  });

  test("says with 0 that there is none of that name", async () => {
    expect(await run("delete cronjobs gone", deleting(false))).toMatchObject({
      exitCode: 0,
      stdout: "Could not find cronjob=gone\n",
    });
  });

  test("asks on a terminal unless --yes, and deletes nothing without a yes", async () => {
    const deleted: string[] = [];
    const refused = await run("delete cronjob x", deleting(true, deleted), { answers: ["n"] });
    expect(refused.asked).toEqual(["Delete cronjob x with its history, and cancel what runs of it? [y/N] "]);
    expect(refused).toMatchObject({ exitCode: 1, stdout: "" });
    expect(deleted).toEqual([]);
    await run("delete cronjob x", deleting(true, deleted), { answers: ["yes"] });
    const without = await run("delete cronjob x --yes", deleting(true, deleted), { answers: ["n"] });
    expect([deleted, without.asked]).toEqual([["x", "x"], []]);
  });

  test("gives a record with --output", async () => {
    const { stdout } = await run("delete cronjob x --output json", deleting(true));
    expect(JSON.parse(stdout)).toEqual({ cronjob: "x", found: true, cancelled: [] });
  });
});

const existing: Cronjob = aCronjob({
  timezone: "Asia/Tokyo",
  retries: 2,
  request: { url, branch: "production", strict: true, group: "prod", startedBy: "cron" },
});

const sshUrl = "git@forge.test:me/p.git";
const privateKey = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n";

/** `quoted` is one word, as it were in quotes. */
async function create(options: string, quoted = "", more = "", failure?: Failure, repository = url) {
  const created: CronjobSpec[] = [];
  const credentials: (RepositoryCredentials | undefined)[] = [];
  const files: string[] = [];
  const result = await run(["create", "cronjob", repository, ...words(options, quoted, more)], {
    operations: {
      createCronjob: async (spec, given) => {
        if (failure !== undefined) throw failure;
        created.push(spec);
        credentials.push(given);
        return { ...aCronjob(), ...spec };
      },
    },
    wiring: {
      readKeyFile: async (path) => {
        if (path.endsWith("gone")) throw new Failure("usage", `Could not find key file at ${path}`);
        files.push(path);
        return new SecretValue(path.endsWith(".pub") ? "ssh-ed25519 AAAA me" : privateKey);
      },
    },
  });
  return { result, created, credentials, files };
}

async function update(options: string, quoted = "") {
  const changes: [string, CronjobChange][] = [];
  const result = await run(["update", "cronjob", url, ...words(options, quoted, "")], {
    operations: {
      cronjobs: async ({ name }) => (name === "train" ? [aView(existing)] : []),
      updateCronjob: async (name, change) => {
        changes.push([name, change]);
        const given = Object.entries(change).filter(([, value]) => value !== undefined);
        return { ...existing, ...Object.fromEntries(given) };
      },
    },
  });
  return { result, changes };
}

function words(...[options = "", quoted = "", more = ""]: readonly string[]): readonly string[] {
  const split = (text: string): readonly string[] => text.split(" ").filter((word) => word !== "");
  return [...split(options), ...(quoted === "" ? [] : [quoted]), ...split(more)];
}

function aView(cronjob: Cronjob, change: Partial<CronjobView> = {}): CronjobView {
  return {
    ...cronjob,
    words: "Every hour",
    nextTimes: ["2026-11-23T20:00:00.000Z"],
    lastJob: aJob({ id: "train-1", cronjob: "train" }),
    ...change,
  };
}

function views(): Parts {
  const all = [
    aView(existing),
    aView(aCronjob({ name: "other", suspended: true }), { nextTimes: [], lastJob: undefined }),
  ];
  const job = (number: number, dueAt: string, change: Parameters<typeof aJob>[0]) =>
    aJob({ id: `train-${number}`, cronjob: "train", dueAt, ...change });
  const didNotRun = { runs: [], startedAt: undefined, endedAt: undefined };
  const jobs = [
    job(3, "2026-11-23T19:06:12.000Z", {
      status: "active",
      startedAt: "2026-11-23T19:06:12.300Z",
      endedAt: undefined,
    }),
    job(2, "2026-11-23T19:05:42.000Z", { status: "skipped", why: "train-1 is still running", ...didNotRun }),
    job(1, "2026-11-23T19:05:12.000Z", {}),
    job(0, "2026-11-23T19:00:00.000Z", { status: "missed", why: "no server ran", ...didNotRun }),
  ];
  return {
    operations: {
      cronjobs: async ({ name }) => all.filter((view) => name === undefined || view.name === name),
      jobs: async ({ cronjob }) => jobs.filter((one) => one.cronjob === cronjob),
    },
  };
}
