import { describe, expect, test } from "vitest";
import { runCli } from "../../../src/cli/run-cli.ts";
import { Failure } from "../../../src/core/failure.ts";
import type { DeployRequest, Run, RunEvent } from "../../../src/core/run-state.ts";
import type { Operations, ServerStatus } from "../../../src/operations/operations.ts";
import { aDeployment, aRun, aService, events } from "../support/records.ts";
import { type Parts, run, type TerminalOptions, testTerminal, testWiring } from "../support/terminal.ts";

const url = "https://forge.test/me/my-project";
const create = ["create", "deployment", url];

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

  test("asks for what was typed, with a key file's absolute path", async () => {
    const { requests, parts } = recordingServer();
    await run(
      `create deployment ${url} --branch=dev --ssh keys/id --accept-host-key SHA256:x --strict`,
      parts,
    );
    await run(`update deployments ${url} --branch= --ssh=`, parts);
    const nothing = { branch: undefined, sshKeyFile: undefined, acceptHostKey: undefined };
    expect(requests).toEqual([
      {
        ...{ url, branch: "dev", sshKeyFile: "/home/me/keys/id", acceptHostKey: "SHA256:x" },
        ...{ strict: true, startedBy: "command" },
      },
      { url, ...nothing, strict: false, startedBy: "command" },
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

  test.each([
    "--retries=2",
    "--group=g",
    "--secrets-group=g",
    "--bodywork-image=bodyworkml/bodywork-core:3.0",
  ])("says that %s is inactive, and takes it", async (option) => {
    const { exitCode, stderr } = await run([...create, option], server());
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(new RegExp(`^${option.split("=")[0]} is inactive here: .+\\.$`, "m"));
  });
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

function recordingServer(): { readonly requests: DeployRequest[]; readonly parts: Parts } {
  const requests: DeployRequest[] = [];
  const deploy = async (request: DeployRequest) => {
    requests.push(request);
    return { runId: "run-1" };
  };
  return { requests, parts: server({ deploy }) };
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
