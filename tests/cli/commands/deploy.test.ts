import { describe, expect, test } from "vitest";
import type { CliWiring } from "../../../src/cli/cli-io.ts";
import { runCli } from "../../../src/cli/run-cli.ts";
import { Failure } from "../../../src/core/failure.ts";
import type { Job } from "../../../src/core/job-state.ts";
import type { PlannedStage } from "../../../src/core/plan.ts";
import type { DeployRequest, Run, RunEvent } from "../../../src/core/run-state.ts";
import { SecretValue } from "../../../src/core/secret-value.ts";
import type {
  Operations,
  PlannedDeployment,
  RepositoryCredentials,
  ServerStatus,
} from "../../../src/operations/operations.ts";
import { batchStage, serviceStage } from "../../support/tasks.ts";
import { aDeployment, aRun, aService, events } from "../support/records.ts";
import { type Parts, run, type TerminalOptions, testTerminal, testWiring } from "../support/terminal.ts";

const url = "https://forge.test/me/my-project";
const create = ["create", "deployment", url];

/** What makes a request one that can be repeated. */
const aKey = expect.stringMatching(/^[0-9a-f]{32}$/);

const wholeRun = events(
  { kind: "run", status: "running" },
  { kind: "stage", node: "train", status: "running" },
  { kind: "log", node: "train", source: "attempt 1", text: "epoch 1\n" },
  { kind: "stage", node: "train", status: "succeeded" },
  { kind: "run", status: "succeeded" },
);

describe("a deployment that succeeds", () => {
  test("exits with 0 and shows its logs, a summary and its URLs on standard output", async () => {
    const { exitCode, stdout, stderr } = await run(create, server());
    expect(exitCode).toBe(0);
    const lines = stdout.split("\n");
    expect(lines[0]).toMatch(/^=+ deploying default branch from https:\/\/forge\.test\/me\/my-project =+$/);
    expect(lines).toContain("train | epoch 1");
    expect(lines).toContain("Deployment successful");
    expect(stdout).toMatch(
      /^train +succeeded +3\.2s +1 +reused \(Python 3\.11\.7\) +model cdcdcdcdcdcd \(12\.0 KiB\)$/m,
    );
    expect(lines).toContain("release 3 of my-project in 8.0s (run 20261123-190512000-k3f9)");
    expect(lines).toContain("stage_3: http://127.0.0.1:8080/my-space/stage-3");
    expect(lines).toContain("inner: http://inner:6000 (for other stages; not on the ingress)");
    expect(lines.at(-2)).toMatch(/^=+$/);
    expect(stderr).toContain("engine: local (no kubeconfig on this machine)\n");
    expect(stderr).toMatch(/^\[ +0\.4s\] run succeeded$/m);
  });

  test("asks for what was typed; an empty option means none", async () => {
    const { asked, parts } = recordingServer();
    await run(
      `create deployment ${url} --branch=dev --group prod --accept-host-key SHA256:x --strict`,
      parts,
    );
    await run(`update deployments ${url} --branch= --ssh= --secrets-group prod`, parts);
    const nothing = { branch: undefined, acceptHostKey: undefined };
    expect(asked).toEqual([
      {
        request: {
          ...{ url, branch: "dev", group: "prod", acceptHostKey: "SHA256:x" },
          ...{ strict: true, startedBy: "command", key: aKey },
        },
        credentials: undefined,
      },
      {
        request: { url, ...nothing, group: "prod", strict: false, startedBy: "command", key: aKey },
        credentials: undefined,
      },
    ]);
  });

  test("names the branch in its first line, and no password of the URL", async () => {
    const line = "create deployment https://me:secret@forge.test/p --branch dev";
    const { stdout, stderr } = await run(line, server());
    expect(stdout).toContain(" deploying dev branch from https://forge.test/p ");
    expect(stdout + stderr).not.toContain("secret");
  });

  test("has lines of = as wide as the terminal, and never cuts their title", async () => {
    const rules = async (options: TerminalOptions) =>
      (await run(create, server(), options)).stdout.split("\n").filter((line) => line.startsWith("==="));
    expect((await rules({ terminal: true, columns: 120 })).map(({ length }) => length)).toEqual([120, 120]);
    expect((await rules({ columns: 120 })).map(({ length }) => length)).toEqual([80, 80]);
    const [narrow] = await rules({ terminal: true, columns: 10 });
    expect(narrow).toBe(`=== deploying default branch from ${url} ===`);
  });

  test("prints its record alone with --output json, everything else on standard error", async () => {
    const { exitCode, stdout, stderr } = await run([...create, "--output", "json"], server());
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(aRun())));
    expect(stderr).toContain("deploying default branch from");
    expect(stderr).toContain("train | epoch 1\n");
  });

  test("has still succeeded when its URLs can't be had any more", async () => {
    const parts = server({
      deployments: async () => {
        throw new Failure("server-unreachable", "Gone.");
      },
    });
    const { exitCode, stdout } = await run(create, parts);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("Deployment successful");
  });

  test("returns at once with --detach and says how to see it later", async () => {
    const parts = server({ run: async () => aRun({ status: "queued" }) });
    const table = await run([...create, "--detach"], parts);
    expect(table.exitCode).toBe(0);
    expect(table.stdout).toContain("run=run-1 accepted.\n");
    expect(table.stdout).not.toContain("Deployment successful");
    expect(table.stderr).toContain("bodywork get run run-1");
    const json = await run([...create, "--detach", "--output=json"], parts);
    expect(JSON.parse(json.stdout)).toMatchObject({ status: "queued" });
  });

  test("moves the ingress first with --listen", async () => {
    const calls: string[] = [];
    const parts: Parts = {
      ...server({
        deploy: async () => {
          calls.push("deploy");
          return { runId: "run-1" };
        },
      }),
      server: {
        start: async ({ listen }) => {
          calls.push(`listen ${listen}`);
          return {} as ServerStatus;
        },
      },
    };
    await run([...create, "--listen", "0.0.0.0:80"], parts);
    expect(calls).toEqual(["listen 0.0.0.0:80", "deploy"]);
  });

  test.each(["--retries=2", "--async-job-name=foo", "--bodywork-image=bodyworkml/bodywork-core:3.0"])(
    "says that %s is inactive, and takes it",
    async (option) => {
      const { exitCode, stderr } = await run([...create, option], server());
      expect(exitCode).toBe(0);
      expect(stderr).toMatch(new RegExp(`^${option.split("=")[0]} is inactive here: .+\\.$`, "m"));
    },
  );
});

describe("a deployment that fails", () => {
  test("exits with 1 and says why at the end, with the details and what to do", async () => {
    const failed = aRun({
      status: "failed",
      reason: 'Stage "train" failed: exit 3',
      details: ["no data\n"],
      hint: "bodywork logs my-project train",
    });
    const { exitCode, stdout } = await run(create, server({ run: async () => failed }));
    expect(exitCode).toBe(1);
    expect(stdout).toContain(
      'Deployment failed --> Stage "train" failed: exit 3\n  no data\n  \nHint: bodywork logs my-project train\n',
    );
    expect(stdout).not.toContain("Deployment successful");
    expect(stdout.trimEnd().endsWith("=")).toBe(false);
  });

  test("exits with 1 when it is refused, in the same form", async () => {
    const parts = server({
      deploy: async () => {
        throw new Failure("repository-url", "Cannot clone http://bad.repo.", { hint: "Use https." });
      },
    });
    const { exitCode, stdout } = await run("create deployment http://bad.repo", parts);
    expect(exitCode).toBe(1);
    expect(stdout).toContain("Deployment failed --> Cannot clone http://bad.repo.\nHint: Use https.\n");
  });

  test("is told the whole address of a path, which the server can't know", async () => {
    const refused = server({
      deploy: async ({ url: text }) => {
        throw new Failure("repository-url", `Cannot use the repository "${text}".`, {
          hint: "Write it whole.",
        });
      },
    });
    const hint = "For a repository on this machine write file:///home/me/my%20project";
    const table = await run(["create", "deployment", "./my project/"], refused);
    expect(table).toMatchObject({ exitCode: 1 });
    expect(table.stdout).toContain(
      `Deployment failed --> Cannot use the repository "./my project/".\nHint: ${hint}\n`,
    );
    const json = await run(["create", "deployment", "../me/my project", "--output=json"], refused);
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: "repository-url", hint } });
    const other = await run(["create", "deployment", "notaurl"], refused);
    expect(other.stdout).toContain("Hint: Write it whole.\n");
  });

  test("exits with 1 before anything when no engine may be chosen", async () => {
    const wiring = {
      engineNotice: async () => {
        throw new Failure("engine-unavailable", "Cannot choose an engine.");
      },
    };
    expect(await run(create, { wiring })).toMatchObject({
      exitCode: 1,
      stdout: "",
      stderr: "Error: Cannot choose an engine.\n",
    });
  });

  test("exits with 1 when the server can't be reached again, and says that its end is not known", async () => {
    let calls = 0;
    const parts = server({
      followRun: () => {
        throw new Failure("server-unreachable", "Cannot reach it.");
      },
    });
    const wiring = {
      operations: async () => {
        calls += 1;
        return testWiring(parts).operations();
      },
    };
    const { exitCode, stderr } = await run(create, { wiring });
    expect(exitCode).toBe(1);
    expect(calls).toBeGreaterThan(10);
    expect(stderr).toContain("The connection to the server is lost; the run goes on.");
    expect(stderr).toContain("the end of run run-1 is not known here");
    expect(stderr).toContain("bodywork get run run-1");
  });
});

describe("When it is not known whether a run was accepted", () => {
  const lost = (code = "ECONNRESET") =>
    new Failure("server-unreachable", "Cannot reach the server.", {
      cause: Object.assign(new Error("lost"), { code }),
    });

  test("the same request is made again, and its run followed", async () => {
    const asked: DeployRequest[] = [];
    const parts = server({
      deploy: async (request) => {
        asked.push(request);
        if (asked.length < 4) throw lost();
        return { runId: "run-1" };
      },
    });
    const { exitCode, stdout, stderr } = await run(create, parts);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("Deployment successful");
    expect(stderr.match(/Asking again/g)).toHaveLength(1);
    expect(asked.map(({ key }) => key)).toEqual(Array.from({ length: 4 }, () => aKey));
    expect(new Set(asked.map(({ key }) => key)).size).toBe(1);
  });

  test("it is given up after a minute, without calling that a failed deployment", async () => {
    let times = 0;
    const parts = server({
      deploy: async () => {
        times += 1;
        throw lost();
      },
    });
    const { exitCode, stdout, stderr } = await run(create, parts);
    expect({ exitCode, times }).toEqual({ exitCode: 1, times: 31 });
    expect(stdout).not.toContain("Deployment failed");
    expect(stderr).toContain("If the run was accepted all the same, it goes on.");
  });

  test("two deployments do not have the same key", async () => {
    const { asked, parts } = recordingServer();
    await run(create, parts);
    await run(create, parts);
    const keys = asked.map(({ request }) => request.key);
    expect(keys).toEqual([aKey, aKey]);
    expect(keys[0]).not.toBe(keys[1]);
  });

  test.each(["ECONNREFUSED", "ENOTFOUND", "DEPTH_ZERO_SELF_SIGNED_CERT"])(
    "%s at once is no such case: nobody was there to accept it",
    async (code) => {
      let times = 0;
      const parts = server({
        deploy: async () => {
          times += 1;
          throw lost(code);
        },
      });
      const { exitCode, stderr } = await run(create, parts);
      expect({ exitCode, times }).toEqual({ exitCode: 1, times: 1 });
      expect(stderr).not.toContain("accepted");
    },
  );
});

describe("The key of a private repository", () => {
  const sshUrl = "git@forge.test:me/my-project.git";
  const ofFile = new SecretValue("-----BEGIN OPENSSH PRIVATE KEY-----\nof the file\n");
  const ofVariable = new SecretValue("of the variable");
  const files: Partial<CliWiring> = {
    readKeyFile: async (path) => {
      if (path === "/home/me/keys/id") return ofFile;
      if (path === "/home/me/keys/id.pub") return new SecretValue("ssh-ed25519 AAAA me@here");
      throw new Failure("usage", `could not find key file at ${path}`);
    },
  };

  test("is the text of the file, which is kept for later runs", async () => {
    const { asked, parts } = recordingServer(files);
    await run(`create deployment ${sshUrl} --ssh keys/id`, parts);
    expect(asked.map(({ credentials }) => credentials)).toEqual([{ sshKey: ofFile, keep: true }]);
  });

  test("is that of the variable when it is set, which wins over the file and is not kept", async () => {
    const { asked, parts } = recordingServer({ ...files, environmentSshKey: () => ofVariable });
    await run(`create deployment ${sshUrl}`, parts);
    const { stderr } = await run(`create deployment ${sshUrl} --ssh keys/id`, parts);
    expect(asked.map(({ credentials }) => credentials)).toEqual([
      { sshKey: ofVariable, keep: false },
      { sshKey: ofVariable, keep: false },
    ]);
    expect(stderr).toContain("--ssh is not used: BODYWORK_GIT_SSH_PRIVATE_KEY is set and wins.");
  });

  test("is sent from the variable only for an address of ssh", async () => {
    const { asked, parts } = recordingServer({ environmentSshKey: () => ofVariable });
    await run(create, parts);
    expect(asked.map(({ credentials }) => credentials)).toEqual([undefined]);
  });

  test("is refused when the file has no private key, and nothing is asked for", async () => {
    const { asked, parts } = recordingServer(files);
    const { exitCode, stderr } = await run(`create deployment ${sshUrl} --ssh keys/id.pub`, parts);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("Cannot use /home/me/keys/id.pub as an ssh key: it is no private key.");
    expect(stderr).not.toContain("AAAA");
    expect(asked).toEqual([]);
  });

  test("is neither read nor sent for an address that is not of ssh, which is said", async () => {
    const { asked, parts } = recordingServer(files);
    const { stderr } = await run([...create, "--ssh", "nowhere"], parts);
    expect(stderr).toContain(`Warning: --ssh is not used, nor is the key kept: ${url} is no ssh address.`);
    expect(asked.map(({ credentials }) => credentials)).toEqual([undefined]);
  });

  test("that is not there is wrong usage, and nothing is asked for", async () => {
    const { asked, parts } = recordingServer(files);
    const { exitCode, stderr } = await run(`create deployment ${sshUrl} --ssh nowhere`, parts);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("could not find key file at /home/me/nowhere");
    expect(asked).toEqual([]);
  });
});

describe("update deployment", () => {
  const update = ["update", "deployment", url];

  test("says so when there was nothing to update, and deploys all the same", async () => {
    const first = await run(update, server({ run: async () => aRun({ release: 1 }) }));
    expect(first.exitCode).toBe(0);
    const line = "There was no deployment my-project to update: this is the same as to create it.\n";
    expect(first.stderr).toContain(line);
    expect((await run(update, server())).stderr).not.toContain(line);
    expect((await run(create, server({ run: async () => aRun({ release: 1 }) }))).stderr).not.toContain(line);
  });
});

describe("--dry-run", () => {
  const dryRun = [...create, "--dry-run"];
  const noted: Asked[] = [];
  const planning = (planned: PlannedDeployment): Parts => ({
    operations: {
      async plan(request, credentials) {
        noted.push({ request, credentials });
        return planned;
      },
    },
  });

  test("prints what would be done, and asks for nothing else", async () => {
    const { exitCode, stdout, stderr } = await run(dryRun, planning(aPlanned()));
    expect(exitCode).toBe(0);
    expect(noted.map(({ request }) => request.url)).toEqual([url]);
    const lines = stdout.split("\n").map((line) => line.replace(/ {2,}/g, "  ").trim());
    expect(lines).toEqual([
      "Would make release 4 of my-project in namespace my-space",
      "commit 1234567 of main: Train again (Ada)",
      "Step  Stage  Kind  After  Environment  Secrets",
      "1  train  batch  Python 3.11  PASSWORD: prod/db version 2",
      "numpy==2.1.0",
      "-r requirements.txt",
      "2  serve  service, 2 × port 5000, ingress  train  Python 3",
      "on failure: tell  batch  Python 3",
      "Services to roll out: serve",
      "Services to be removed: stage-3 (of 1234567)",
      "Nothing was changed.",
      "",
    ]);
    expect(stderr).toContain("Warning: stages.unused -> no step runs it\n");
  });

  test("prints the plan itself with --output json", async () => {
    const { stdout } = await run([...dryRun, "--output", "json"], planning(aPlanned()));
    expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(aPlanned())));
  });

  test("exits with 1 and the reason when the deployment would be refused", async () => {
    const refused = (): Parts => ({
      operations: {
        plan: async () => {
          throw new Failure("secret-missing", "cannot find key=A in secret=s in namespace=n", {
            details: ["one line each"],
            hint: "bodywork create secret s --group n --data A=VALUE",
          });
        },
      },
    });
    expect(await run(dryRun, refused())).toMatchObject({
      exitCode: 1,
      stdout: "",
      stderr: expect.stringContaining(
        "Error: cannot find key=A in secret=s in namespace=n\n  one line each\nHint: bodywork create secret s",
      ),
    });
    const { stdout } = await run([...dryRun, "--output=json"], refused());
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "secret-missing" } });
  });

  test("of an update says when there is nothing to update", async () => {
    const first = aPlanned();
    const parts = planning({ ...first, plan: { ...first.plan, release: 1 } });
    const { stderr } = await run(["update", "deployment", url, "--dry-run"], parts);
    expect(stderr).toContain("There was no deployment my-project to update");
  });

  test.each(["--detach", "--async"])("can't be used with %s", async (option) => {
    expect(await run([...dryRun, option], {})).toMatchObject({ exitCode: 2 });
  });
});

describe("--async", () => {
  const jobs = () => {
    const made: unknown[] = [];
    const parts: Parts = {
      operations: {
        async createJob(job, credentials) {
          made.push({ ...job, credentials });
          return { ...aJob, id: `async-workflow-${job.name ?? "made-up"}`, request: job.request };
        },
      },
      wiring: { readKeyFile: async () => new SecretValue("-----BEGIN PRIVATE KEY-----") },
    };
    return { made, parts };
  };

  test("leaves a job to the server, with the key, and returns with its name", async () => {
    const { made, parts } = jobs();
    const address = "git@forge.test:me/my-project.git";
    const line = `create deployment ${address} --async --async-job-name=foo --branch main --ssh=id --group=g --bodywork-image=a/b:1`;
    const { exitCode, stdout, stderr } = await run(line, parts);
    expect(exitCode).toBe(0);
    expect(stdout).toBe("Created workflow-job=async-workflow-foo\n");
    expect(stderr).toContain("bodywork get deployments --async --logs async-workflow-foo");
    expect(made).toMatchObject([
      {
        name: "foo",
        retries: 1,
        request: { url: address, branch: "main", group: "g", startedBy: "async" },
        credentials: { keep: true },
      },
    ]);
  });

  test("takes the number of retries, and says nothing of it; the server makes up a name", async () => {
    const { made, parts } = jobs();
    const { stdout, stderr } = await run([...create, "--async", "--retries=0"], parts);
    expect(stdout).toBe("Created workflow-job=async-workflow-made-up\n");
    expect(made).toMatchObject([{ name: undefined, retries: 0 }]);
    expect(stderr).not.toContain("inactive");
  });

  test("exits with 1 when there is a job of that name already, and says so on standard output", async () => {
    const parts: Parts = {
      operations: {
        createJob: async () => {
          throw new Failure("already-exists", "Cannot create workflow-job=foo as it already exists", {
            hint: "Choose another name.",
          });
        },
      },
    };
    expect(await run([...create, "--async", "--async-job-name=foo"], parts)).toMatchObject({
      exitCode: 1,
      stdout: "Cannot create workflow-job=foo as it already exists\n",
      stderr: expect.stringContaining("Choose another name."),
    });
  });
});

describe("on a cluster", () => {
  const wiring: Partial<CliWiring> = {
    engineNotice: async () => ({ engine: "kubernetes", why: "there is a kubeconfig at /k" }),
  };

  test("the image, and that it is not looked up, are asked for; --listen is inactive", async () => {
    const { asked, parts } = recordingServer();
    const { stderr } = await run(
      [...create, "--bodywork-image=me/image:1", "--no-image-check", "--listen=127.0.0.1:1"],
      { ...parts, wiring },
    );
    expect(asked.map(({ request: { image, checkImage } }) => ({ image, checkImage }))).toEqual([
      { image: "me/image:1", checkImage: false },
    ]);
    expect(stderr).toContain("--listen is inactive here");
    expect(stderr).not.toContain("--bodywork-image is inactive");
  });

  test("--detach is refused: nobody else would carry the run out", async () => {
    const { exitCode, stderr } = await run([...create, "--detach"], { wiring });
    expect(exitCode).toBe(2);
    expect(stderr).toContain("--async");
  });

  test("--dry-run --output yaml prints every object as kubectl takes it", async () => {
    const plan = async (): Promise<PlannedDeployment> => ({
      ...aPlanned(),
      objects: [{ kind: "Job" }, { kind: "Deployment" }],
    });
    const { stdout } = await run([...create, "--dry-run", "--output=yaml"], { operations: { plan }, wiring });
    expect(stdout).toBe("---\nkind: Job\n---\nkind: Deployment\n");
  });
});

describe("--bodywork-image", () => {
  test("that can't be one is refused before anything is asked for", async () => {
    const image = "bad:bodyworkml/bodywork-core:0.0.0";
    const { asked, parts } = recordingServer();
    const { exitCode, stdout } = await run([...create, `--bodywork-image=${image}`], parts);
    expect(exitCode).toBe(1);
    expect(stdout).toContain(`Deployment failed --> Invalid Docker image specified: ${image}\n`);
    const json = await run([...create, `--bodywork-image=${image}`, "--output=json"], parts);
    expect(json.exitCode).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: "project-invalid" } });
    expect(asked).toEqual([]);
  });
});

test("With --quiet the result is all that is said, without the stages' logs", async () => {
  const parts = server({ run: async () => aRun({ release: 1 }) });
  const loud = await run(["update", "deployment", url], parts);
  const quiet = await run(["update", "deployment", url, "--quiet"], parts);
  const result = loud.stdout.replace(/^(=|train \|).*\n/gm, "");
  expect(loud.stdout).not.toBe(result);
  expect(quiet).toEqual({ ...loud, stdout: result, stderr: "" });
});

describe("Ctrl-C", () => {
  test("cancels once, and the command ends with the run", async () => {
    const session = openRun();
    const exit = session.start(create);
    await session.following;
    expect(session.terminal.send("SIGINT")).toBe(true);
    session.end(aRun({ status: "cancelled", reason: "cancelled: Ctrl-C" }));
    expect(await exit).toBe(1);
    expect(session.cancelled).toEqual(["run-1: Ctrl-C"]);
    expect(session.terminal.stdout()).toContain("Deployment cancelled --> cancelled: Ctrl-C\n");
    expect(session.terminal.stderr()).toContain(
      "Cancelling run run-1 (Ctrl-C) and putting back what it changed.",
    );
    expect(session.terminal.send("SIGINT")).toBe(false);
  });

  test("twice leaves with 130, while the server cancels", async () => {
    const session = openRun();
    const exit = session.start(create);
    await session.following;
    session.terminal.send("SIGINT");
    session.terminal.send("SIGINT");
    expect(await exit).toBe(130);
    expect(session.cancelled).toEqual(["run-1: Ctrl-C"]);
    expect(session.terminal.stderr()).toContain("Left run run-1 to be cancelled by the server.");
  });

  test("works as well with SIGTERM", async () => {
    const session = openRun();
    const exit = session.start(create);
    await session.following;
    session.terminal.send("SIGTERM");
    session.end(aRun({ status: "cancelled" }));
    expect(await exit).toBe(1);
    expect(session.cancelled).toEqual(["run-1: SIGTERM"]);
    expect(session.terminal.stderr()).toContain("Cancelling run run-1 (SIGTERM)");
  });

  test("ends at once while the server is still being started", async () => {
    const terminal = testTerminal();
    const exit = runCli(
      create,
      terminal.io,
      testWiring({ wiring: { operations: () => new Promise(() => {}) } }),
    );
    await turn();
    terminal.send("SIGINT");
    expect(await exit).toBe(1);
    expect(terminal.stderr()).toContain("Aborted! Nothing was started.\n");
  });

  test("twice leaves with 130 while the server does not say whether it accepts the run", async () => {
    const terminal = testTerminal();
    const exit = runCli(create, terminal.io, testWiring(server({ deploy: () => new Promise(() => {}) })));
    await turn();
    terminal.send("SIGINT");
    await turn();
    terminal.send("SIGINT");
    expect(await exit).toBe(130);
    expect(terminal.stderr()).toContain("bodywork get runs");
  });

  test("cancels a run that is accepted only afterwards", async () => {
    const session = openRun();
    const { promise, resolve } = Promise.withResolvers<{ runId: string }>();
    const exit = session.start(create, { deploy: () => promise });
    await turn();
    session.terminal.send("SIGINT");
    resolve({ runId: "run-1" });
    await session.following;
    session.end(aRun({ status: "cancelled" }));
    expect(await exit).toBe(1);
    expect(session.cancelled).toContain("run-1: Ctrl-C");
  });
});

describe("--timeout", () => {
  test("cancels a run that takes longer", async () => {
    const session = openRun();
    const exit = session.start([...create, "--timeout", "30"]);
    await session.following;
    session.terminal.advance(29_000);
    await turn();
    expect(session.cancelled).toEqual([]);
    session.terminal.advance(1_000);
    await turn();
    expect(session.cancelled).toEqual(["run-1: it took longer than 30 s"]);
    session.end(aRun({ status: "cancelled" }));
    expect(await exit).toBe(1);
    expect(session.terminal.stderr()).toContain("Cancelling run run-1 (it took longer than 30 s)");
  });

  test("does nothing to a run that ends in time", async () => {
    const session = openRun();
    const exit = session.start([...create, "--timeout", "30"]);
    await session.following;
    session.end(aRun());
    expect(await exit).toBe(0);
    expect(session.cancelled).toEqual([]);
  });
});

test("A closed standard output does not end the deployment that is followed", async () => {
  const session = openRun();
  const exit = session.start(create);
  await session.following;
  session.terminal.closeOutput();
  await turn();
  session.end(aRun());
  expect(await exit).toBe(0);
  expect(session.cancelled).toEqual([]);
});

function aPlanned(): PlannedDeployment {
  const { commit } = aRun();
  if (commit === undefined) throw new Error("the run has no commit");
  const planned = (stage: PlannedStage["stage"], change: Partial<PlannedStage> = {}): PlannedStage => ({
    node: stage.name,
    stage,
    after: [],
    environment: { requirements: [], requirementsFile: undefined, python: undefined, notebook: false },
    variables: {},
    secrets: {},
    ...change,
  });
  const train = batchStage("train", { requirementsFile: "requirements.txt" });
  return {
    commit,
    plan: {
      ...{
        deployment: "my-project",
        namespace: "my-space",
        secretsGroup: "prod",
        release: 4,
        image: "python:3.11",
      },
      nodes: [
        planned(train, {
          environment: {
            ...{ requirements: ["numpy==2.1.0"], requirementsFile: "scipy\n" },
            ...{ python: "3.11", notebook: false },
          },
          secrets: { PASSWORD: { group: "prod", name: "db", version: 2, key: "PASSWORD" } },
        }),
        planned(serviceStage("serve", { replicas: 2 }), { after: ["train"] }),
      ],
      removals: [aService()],
      onFailure: planned(batchStage("tell"), { node: "on failure: tell" }),
    },
    warnings: ["stages.unused -> no step runs it"],
  };
}

const aJob: Omit<Job, "id" | "request"> = {
  cronjob: undefined,
  dueAt: "2026-11-23T19:05:12.000Z",
  status: "waiting",
  why: undefined,
  retries: 1,
  runs: [],
  nextRunAt: undefined,
  startedAt: undefined,
  endedAt: undefined,
};

/** A server whose runs go well at once. */
function server(change: Partial<Operations> = {}): Parts {
  return {
    operations: {
      deploy: async () => ({ runId: "run-1" }),
      async *followRun() {
        yield* wholeRun;
      },
      cancelRun: async () => {},
      run: async () => aRun(),
      deployments: async () => [
        aDeployment({
          services: [
            aService(),
            aService({
              ...{ stage: "inner", name: "inner", internalUrl: "http://inner:6000" },
              ...{ ingressRoute: undefined, url: undefined },
            }),
          ],
        }),
      ],
      ...change,
    },
  };
}

interface Asked {
  readonly request: DeployRequest;
  readonly credentials: RepositoryCredentials | undefined;
}

function recordingServer(wiring: Partial<CliWiring> = {}): {
  readonly asked: Asked[];
  readonly parts: Parts;
} {
  const asked: Asked[] = [];
  const deploy: Operations["deploy"] = async (request, credentials) => {
    asked.push({ request, credentials });
    return { runId: "run-1" };
  };
  return { asked, parts: { ...server({ deploy }), wiring } };
}

/** A run that goes on until the test ends it. */
function openRun() {
  const terminal = testTerminal();
  const cancelled: string[] = [];
  const followed = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<Run>();
  const operations: Partial<Operations> = {
    async *followRun(): AsyncIterable<RunEvent> {
      yield wholeRun[0] as RunEvent;
      followed.resolve();
      await ended.promise;
    },
    cancelRun: async (id, why) => {
      cancelled.push(`${id}: ${why}`);
    },
    run: () => ended.promise,
  };
  return {
    terminal,
    cancelled,
    following: followed.promise,
    end: (record: Run) => ended.resolve(record),
    start: (argv: readonly string[], change: Partial<Operations> = {}) =>
      runCli(argv, terminal.io, testWiring(server({ ...operations, ...change }))),
  };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}
