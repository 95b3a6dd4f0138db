import { execFileSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { createClient } from "../../src/http/client.ts";
import type { AuditEntry } from "../../src/ports/access-store.ts";
import { cuttingProxy } from "../http/support/cutting-proxy.ts";
import { type Bodywork, eventually, type Finished } from "../support/bodywork.ts";
import { type Files, type GitProject, makeProject } from "../support/git-project.ts";
import { answering, batch, projectFile, trainAndServe } from "../support/pipelines.ts";
import { createRandom } from "../support/random.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { gate } from "./support/gate.ts";
import { done, left, type ServingMachine, servingMachine } from "./support/serving-machine.ts";

let machine: ServingMachine;

beforeAll(async () => {
  machine = await servingMachine();
  return () => machine.remove();
}, 120_000);

/** The tool on a machine that has nothing but address and token. */
async function clientWith(...scope: readonly string[]): Promise<Bodywork> {
  return machine.client({
    BODYWORK_SERVER: machine.url,
    BODYWORK_TOKEN: await machine.token("client", ...scope),
  });
}

async function projectOf(files: Files): Promise<GitProject> {
  return makeProject({ files, path: temporaryFolder("project") });
}

/** One batch stage that prints and then goes on as told. */
function printing(name: string, program: string): Files {
  return {
    "bodywork.yaml": projectFile({ name, dag: "print", stages: { print: batch(120) } }),
    "print.py": program,
  };
}

test("with address and token alone a deployment is made, followed, looked at, kept from a bad commit, and deleted", async () => {
  const client = await clientWith("--scope", "admin", "--secrets-read");
  const held = gate();
  const project = await projectOf({
    ...trainAndServe("one"),
    "train.py": `print("trained one")\n${held.wait}`,
  });

  const planned = ["create", "deployment", project.url, "--dry-run"];
  const plan = await done(client.run(...planned));
  expect(plan.stdout).toContain("train");
  expect(plan.stdout).toBe((await done(machine.tool.run(...planned))).stdout);
  expect(await machine.tool.deployments()).toEqual([]);

  const creating = client.start("create", "deployment", project.url, "--branch", "main");
  await creating.shown("train | trained one");
  held.open();
  const created = await done(creating.finished);
  expect(created.stdout).toContain("Deployment successful");
  expect(created.stderr).toContain(`server ${machine.url}`);
  const { url = "" } = await client.service("story", "serve");
  expect(await answerOf(url)).toBe("one");

  const broken = { "train.py": "print('no data')\nraise SystemExit(3)\n", "serve.py": answering("two") };
  await project.commit(broken);
  const failed = await client.run("update", "deployment", project.url);
  expect(failed.exitCode, failed.stdout + failed.stderr).toBe(1);
  expect(failed.stdout).toContain("train | no data");
  expect(failed.stdout).toContain('Deployment failed --> Stage "train" failed: exit 3');
  // One that has got as far as to replace the service.
  await project.commit({ "train.py": "", "serve.py": "raise SystemExit('no model')\n" });
  expect((await client.run("update", "deployment", project.url)).exitCode).toBe(1);
  expect(await answerOf(url)).toBe("one");

  await done(client.run("create", "secret", "db", "--group", "dev", "--data", "USER=me"));
  await done(
    client.runWithInput("s3cret", "update", "secret", "db", "--group", "dev", "--data-file", "KEY=-"),
  );
  expect((await done(client.run("get", "secret", "db", "--group", "dev"))).stdout).toContain("s3cret");
  const nightly = ["--name", "nightly", "--schedule", "15 3 * * *", "--timezone", "Europe/Berlin"];
  await done(client.run("create", "cronjob", project.url, ...nightly));
  await done(client.run("update", "cronjob", project.url, "--name", "nightly", "--suspend"));
  await project.commit({ "train.py": "print('trained three')\n", "serve.py": answering("three") });
  const job = ["--async", "--async-job-name", "once", "--retries", "0"];
  expect((await done(client.run("create", "deployment", project.url, ...job))).stdout).toContain(
    "workflow-job=async-workflow-once",
  );
  await eventually(async () =>
    (await client.run("get", "deployments", "--async")).stdout.includes("succeeded"),
  );
  await expectTheSame(client, [
    ["get", "deployments"],
    ["get", "deployment", "story", "serve", "--output", "yaml"],
    ["get", "deployment", "nowhere"],
    ["get", "deployments", "--async"],
    ["get", "deployments", "--async", "--logs", "async-workflow-once"],
    ["get", "runs", "story", "--limit", "2", "--output", "json"],
    ["get", "run", (await client.runs())[1]?.id ?? ""],
    ["get", "run", "19990101"],
    ["logs", "story"],
    ["logs", "nowhere"],
    ["get", "secrets"],
    ["get", "secret", "db", "--group", "dev", "--output", "json"],
    ["get", "cronjobs"],
    ["get", "cronjob", "nightly", "--history"],
    ["env", "list"],
    ["server", "status", "--output", "json"],
    ["server", "token", "list"],
    ["get", "deployments", "--no-such-option"],
  ]);

  await done(client.run("delete", "deployment", "--async", "async-workflow-once"));
  await done(client.run("delete", "cronjob", "nightly", "--yes"));
  await done(client.run("delete", "secrets", "--group", "dev", "--yes"));
  await done(client.run("delete", "deployment", "story", "serve", "--yes"));
  await expect(answerOf(url)).rejects.toThrow();
  await done(client.run("delete", "deployment", "story", "--yes"));
  expect(await machine.tool.deployments()).toEqual([]);
  for (const kind of ["cronjobs", "secrets"]) {
    expect((await machine.tool.run("get", kind, "--output", "json")).stdout).toBe("[]\n");
  }
  expect(left(client)).toEqual([]);
}, 180_000);

test("after `login` commands need neither address nor token, and only that is kept; `logout` forgets it", async () => {
  const client = machine.client();
  const token = await machine.token("laptop", "--scope", "deploy");
  const refused = await client.runWithInput("bw_wrong", "login", machine.url, "--token-stdin");
  expect(refused.exitCode).toBe(1);
  expect(left(client)).toEqual([]);
  await done(client.runWithInput(`${token}\n`, "login", machine.url, "--token-stdin"));
  const project = await projectOf(printing("logged-in", "print('printed')\n"));
  const created = await done(client.run("create", "deployment", project.url));
  expect(created.stdout).toContain("print | printed");
  expect(created.stderr).toContain("bodywork login has chosen it");
  await expectTheSame(client, [
    ["get", "deployments"],
    ["logs", "logged-in"],
  ]);
  expect(left(client)).toEqual(["login.json"]);
  expect(statSync(join(client.home, "login.json")).mode & 0o777).toBe(0o600);
  await done(client.run("delete", "deployment", "logged-in", "--yes"));
  await done(client.run("logout"));
  expect(left(client)).toEqual([]);
}, 60_000);

test("over a connection that is cut again and again each line comes once and in its order, and so does the verdict", async () => {
  const token = await machine.token("far", "--scope", "deploy");
  for (const [seed, exitCode] of [
    [1, 0],
    [2, 3],
  ] as const) {
    const random = createRandom(seed);
    const most = Array.from({ length: 6 }, () => 1_500 + random.below(40_000));
    const proxy = await cuttingProxy(
      portOf(machine.url),
      (connection) => most[connection] ?? Number.POSITIVE_INFINITY,
    );
    const project = await projectOf(
      printing(
        `far-${seed}`,
        `import sys, time
for number in range(1, 2001):
    print("line", number, "." * 50, flush=number % 97 == 0)
    if number % 97 == 0: time.sleep(0.1)
sys.exit(${exitCode})
`,
      ),
    );
    const client = machine.client({ BODYWORK_SERVER: proxy.api, BODYWORK_TOKEN: token });
    const deployed = await client.run("create", "deployment", project.url);
    expect(deployed.exitCode, deployed.stdout + deployed.stderr).toBe(exitCode === 0 ? 0 : 1);
    expect(deployed.stderr, `seed ${seed}`).toContain("Connecting again");
    expect(linesOf(deployed), `seed ${seed}`).toEqual(counted(2_000));
  }
}, 120_000);

test.each([
  ["succeeded", "", 0],
  ["failed", "raise SystemExit(3)\n", 1],
] as const)(
  "when what is lost is the answer whether a run is accepted, it is asked for again: one run, which %s",
  async (status, program, exitCode) => {
    const token = await machine.token("cut-off", "--scope", "deploy");
    const name = `cut-off-${status}`;
    // The first answer is lost whole, the second after its status and half of the headers.
    const proxy = await cuttingProxy(
      portOf(machine.url),
      (connection) => [0, 60][connection] ?? Number.POSITIVE_INFINITY,
    );
    const client = machine.client({ BODYWORK_SERVER: proxy.api, BODYWORK_TOKEN: token });
    const project = await projectOf(printing(name, `print("printed")\n${program}`));
    const asked = await client.run("create", "deployment", project.url);
    expect(asked.exitCode, asked.stdout + asked.stderr).toBe(exitCode);
    expect(asked.stderr).toContain("Asking again");
    expect(asked.stdout).toContain("print | printed");
    const runs = (await machine.tool.runs()).filter(({ request }) => request.url === project.url);
    expect(runs).toMatchObject([{ deployment: name, status }]);
  },
  60_000,
);

test("who repeats such a request without a key deploys twice", async () => {
  const token = await machine.token("keyless", "--scope", "deploy");
  const proxy = await cuttingProxy(portOf(machine.url), (connection) =>
    connection === 0 ? 0 : Number.POSITIVE_INFINITY,
  );
  const project = await projectOf(printing("keyless", ""));
  const request = { url: project.url, branch: undefined, strict: false, startedBy: "api" };
  const client = createClient({ api: proxy.api, token });
  await expect(client.deploy(request)).rejects.toMatchObject({ code: "server-unreachable" });
  await client.deploy(request);
  const runs = async () => (await machine.tool.runs()).filter((run) => run.request.url === project.url);
  expect(await runs()).toHaveLength(2);
  await eventually(async () => (await runs()).every(({ endedAt }) => endedAt !== undefined));
}, 60_000);

test("a server that is killed, and one that is stopped, and started again does not end what is followed from afar", async () => {
  const client = await clientWith("--scope", "deploy");
  const [first, second] = [gate(), gate()];
  const print = (from: number, to: number): string =>
    `for number in range(${from}, ${to}): print("line", number)\n`;
  const project = await projectOf(
    printing("restarted", print(1, 801) + first.wait + print(801, 1_401) + second.wait + print(1_401, 2_001)),
  );
  const deploying = client.start("create", "deployment", project.url);
  await deploying.shown("line 800\n");
  process.kill((await machine.tool.server()).pid ?? 0, "SIGKILL");
  await deploying.shown("Connecting again");
  await done(machine.tool.run("server", "start"));
  first.open();
  await deploying.shown("line 1400\n");
  await done(machine.tool.run("server", "stop"));
  second.open();
  await done(machine.tool.run("server", "start"));
  expect(linesOf(await done(deploying.finished))).toEqual(counted(2_000));
}, 120_000);

test("with a certificate of an authority of its own a server is used by who trusts that, and by nobody else", async () => {
  const secure = await servingMachine({ tls_cert: "server.crt", tls_key: "server.key" }, makeCertificates);
  onTestFinished(() => secure.remove(), 60_000);
  expect(secure.url).toMatch(/^https:/);
  const caFile = join(secure.folder, "ca.crt");
  writeFileSync(caFile, readFileSync(join(secure.tool.home, "ca.crt")));
  const token = await secure.token("far", "--scope", "read");
  const facts = { BODYWORK_SERVER: secure.url, BODYWORK_TOKEN: token };

  const refused = await secure.client(facts).run("get", "deployments");
  expect(refused).toMatchObject({ exitCode: 1, stdout: "" });
  expect(refused.stderr).toContain("unable to verify the first certificate");
  expect(refused.stderr).toContain("--ca-file");
  await done(secure.client({ ...facts, BODYWORK_CA_FILE: caFile }).run("get", "deployments"));

  const client = secure.client();
  const login = ["login", secure.url, "--token-stdin"];
  expect((await client.runWithInput(token, ...login)).exitCode).toBe(1);
  await done(client.runWithInput(token, ...login, "--ca-file", caFile));
  await done(client.run("get", "deployments"));
}, 90_000);

test("a token that is wrong, expired, revoked or of too small a scope is refused in words, and the audit log tells of it", async () => {
  const [read, deploy] = [
    await machine.token("reader", "--scope", "read"),
    await machine.token("deployer", "--scope", "deploy"),
  ];
  const admin = createClient({ api: machine.url, token: await machine.token("boss", "--scope", "admin") });
  const short = await admin.createToken({ name: "short", scopes: ["admin"], expiresInSeconds: 1 });
  const gone = await admin.createToken({ name: "gone", scopes: ["admin"], expiresInSeconds: 60 });
  const client = (token: string): Bodywork =>
    machine.client({ BODYWORK_SERVER: machine.url, BODYWORK_TOKEN: token });
  await done(client(gone.token.reveal()).run("get", "deployments"));
  await done(machine.tool.run("server", "token", "revoke", gone.record.id));
  await sleep(1_100);
  const project = await projectOf(printing("never", ""));

  for (const token of ["bw_wrong", short.token.reveal(), gone.token.reveal()]) {
    for (const command of [
      ["get", "deployments"],
      ["create", "deployment", project.url],
    ]) {
      const refused = await client(token).run(...command);
      expect(refused.exitCode).toBe(1);
      expect(refused.stdout + refused.stderr).toContain("The token is wrong, has expired or was revoked.");
    }
  }
  const tooSmall: readonly (readonly [string, readonly string[], string])[] = [
    [read, ["create", "deployment", project.url], "deploy"],
    [read, ["create", "deployment", project.url, "--dry-run"], "deploy"],
    [read, ["delete", "deployment", "story", "--yes"], "deploy"],
    [read, ["create", "secret", "x", "--group", "dev", "--data", "A=b"], "deploy"],
    [read, ["get", "secrets", "--group", "dev"], "secrets:read"],
    [deploy, ["get", "secrets", "--group", "dev"], "secrets:read"],
    [deploy, ["server", "token", "create", "more", "--scope", "admin"], "admin"],
    [deploy, ["server", "audit"], "admin"],
  ];
  for (const [token, command, scope] of tooSmall) {
    const refused = await client(token).run(...command);
    expect(refused.exitCode, command.join(" ")).toBe(1);
    expect(refused.stdout + refused.stderr).toContain(`This needs the scope ${scope};`);
  }
  expect((await machine.tool.deployments()).map(({ name }) => name)).not.toContain("never");
  expect((await machine.tool.run("get", "secrets", "--output", "json")).stdout).toBe("[]\n");

  // Six have been tried.
  const tries = await Promise.all(Array.from({ length: 4 }, () => client("bw_wrong").run("get", "runs")));
  for (const { stderr } of tries) expect(stderr).toContain("The token is wrong");
  const shut = await client("bw_wrong").run("get", "runs");
  expect(shut.exitCode).toBe(1);
  expect(shut.stderr).toContain("Too many wrong tokens came from this address.");
  await done(client(read).run("get", "runs"));

  const { stdout } = await done(machine.tool.run("server", "audit", "--output", "json"));
  const refusals = (JSON.parse(stdout) as readonly AuditEntry[]).filter(
    ({ what, who }) => what === "refused token" && !who.startsWith("client"),
  );
  const unknown = refusals.filter(({ who }) => who === "unknown");
  // One more came with the login of another test.
  expect(unknown.length).toBeGreaterThanOrEqual(10);
  const known = refusals.filter(({ who }) => who !== "unknown").toReversed();
  expect(known.map(({ who, on, result }) => `${who.replace(/ .*/, "")}: ${on} ${result}`)).toEqual([
    "reader: POST /api/v1/runs not-allowed",
    "reader: POST /api/v1/plans not-allowed",
    "reader: DELETE /api/v1/deployments/:name not-allowed",
    "reader: POST /api/v1/secrets not-allowed",
    "reader: POST /api/v1/secrets/reveal not-allowed",
    "deployer: POST /api/v1/secrets/reveal not-allowed",
    "deployer: POST /api/v1/server/tokens not-allowed",
    "deployer: GET /api/v1/server/audit not-allowed",
  ]);
  expect(stdout).not.toContain("bw_");
}, 120_000);

/** What both print on standard output, and how both end, is equal. */
async function expectTheSame(client: Bodywork, commands: readonly (readonly string[])[]): Promise<void> {
  for (const command of commands) {
    const [here, there] = await Promise.all([machine.tool.run(...command), client.run(...command)]);
    expect({ command, exitCode: there.exitCode, stdout: there.stdout }).toEqual({
      command,
      exitCode: here.exitCode,
      stdout: here.stdout,
    });
  }
}

async function answerOf(url: string): Promise<string> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.text();
}

function linesOf({ stdout }: Finished): readonly number[] {
  return [...stdout.matchAll(/^print \| line (\d+)\b.*$/gm)].map(([, number]) => Number(number));
}

function counted(to: number): readonly number[] {
  return Array.from({ length: to }, (_, index) => index + 1);
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

/** An authority, `ca.crt`, and what it has signed for 127.0.0.1. */
function makeCertificates(folder: string): void {
  const openssl = (command: string): void =>
    void execFileSync("openssl", command.split(" "), { cwd: folder, stdio: "ignore" });
  const key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
  openssl(`req -x509 ${key} -days 2 -subj /CN=authority -keyout ca.key -out ca.crt`);
  openssl(`req ${key} -subj /CN=server -keyout server.key -out server.csr`);
  writeFileSync(join(folder, "server.names"), "subjectAltName=IP:127.0.0.1\n");
  openssl(
    "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile server.names -out server.crt",
  );
}
