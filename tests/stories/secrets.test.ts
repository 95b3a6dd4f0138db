import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import type { Cronjob, Job } from "../../src/core/job-state.ts";
import type { ServerStatus } from "../../src/operations/operations.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { type Bodywork, eventually, type Finished } from "../support/bodywork.ts";
import { type Files, makeProject } from "../support/git-project.ts";
import { batch, projectFile, service } from "../support/pipelines.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { canariesOf, watchCommandLines } from "./support/canaries.ts";
import { recordingProxy } from "./support/recording-proxy.ts";
import { done, type ServingMachine, servingMachine } from "./support/serving-machine.ts";

let machine: ServingMachine;

beforeAll(async () => {
  machine = await servingMachine();
  return () => machine.remove();
}, 120_000);

const values = {
  PASSWORD: `c4n4ry p@ss/w+rd&"'<é>\\end`,
  PRIVATE_KEY: [
    "-----BEGIN CANARY PRIVATE KEY-----",
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCc4n4ryFirstLineOfTheKeyq83mZx7Rk",
    "oPbW5tYcJ2vE9sLdHfGa1uKi4nT6rXyV0wQzSmCc4n4rySecondLine8lDpBeNjF=",
    "-----END CANARY PRIVATE KEY-----",
    "",
  ].join("\n"),
  ACCOUNT: JSON.stringify({ user: "c4n4ry-user", key: "c4n4ry/key+=1", host: "db.example" }),
};
const canaries = canariesOf(Object.values(values));

/** Prints all values in all the ways that programs and libraries print them, whole and in pieces. */
const leaking = `
import base64, html, json, os, shlex, sys, time, urllib.parse
NAMES = ${JSON.stringify(Object.keys(values))}
values = [os.environ[name] for name in NAMES]
for value in values:
    raw = value.encode()
    print(value)
    print("in a line:", value.strip(), "and on")
    print(repr(value), repr(raw), [value], {"value": value})
    print(json.dumps(value), json.dumps({"a": value}, ensure_ascii=False), json.dumps([value], indent=2))
    print(base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.b64encode(b"me:" + raw), base64.b64encode(b"user:" + raw + b"!"))
    print(raw.hex(), raw.hex().upper())
    print(urllib.parse.quote(value), urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value))
    print(f"postgres://me:{urllib.parse.quote(value, safe='')}@db/x", urllib.parse.urlencode({"q": value}))
    print(html.escape(value), html.escape(value, quote=False), shlex.quote(value), "export A=" + shlex.quote(value))
    print(value, file=sys.stderr)
    for part in (value[:7], value[7:20], value[20:]):
        sys.stdout.write(part)
        sys.stdout.flush()
        time.sleep(0.03)
    print()
    os.write(2, raw + raw)
sys.stdout.flush()
`;

/** A stage that fails with a value in its exception, and one that is told of it. */
const failing = `${leaking}\nraise RuntimeError(f"cannot log in with {values[0]!r} or {values[0]} or {values[1]}")\n`;

const keys = `secrets: {${Object.keys(values)
  .map((key) => `${key}: account`)
  .join(", ")}}`;

function project(train: string): Files {
  return {
    "bodywork.yaml": projectFile({
      name: "canary",
      dag: "train >> serve",
      pipeline: ["secrets_group: prod", "run_on_failure: tell"],
      stages: {
        train: [...batch(60, 1), keys],
        serve: [...service(5000), keys],
        tell: [...batch(), keys],
      },
    }),
    "train.py": train,
    "serve.py": `${leaking}
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.log_message("asked with %s", values[0])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"served")

HTTPServer(("0.0.0.0", 5000), Handler).serve_forever()
`,
    "tell.py": `${leaking}\nprint("told:", os.environ["EXCEPTION_MESSAGE"])\n`,
  };
}

test("no secret in any form is in a file, an answer of the API, a command line or an output, but where it is asked for", async () => {
  const proxy = await recordingProxy(machine.url);
  const tokens = {
    deploy: await machine.token("ci", "--scope", "deploy"),
    reveal: await machine.token("boss", "--scope", "admin", "--secrets-read"),
  };
  const clientWith = (token: string): Bodywork =>
    machine.client({ BODYWORK_SERVER: proxy.url, BODYWORK_TOKEN: token });
  const client = clientWith(tokens.deploy);
  const outputs: Finished[] = [];
  const run = async (...args: readonly string[]): Promise<Finished> => {
    const finished = await client.run(...args);
    outputs.push(finished);
    return finished;
  };
  const files = temporaryFolder("values");
  const data = Object.entries(values).flatMap(([key, value]) => {
    writeFileSync(join(files, key), value);
    return ["--data-file", `${key}=${join(files, key)}`];
  });
  const repository = await makeProject({ files: project(leaking), path: temporaryFolder("project") });
  const watching = watchCommandLines(canariesOf([...Object.values(values), ...Object.values(tokens)]));
  onTestFinished(() => void watching.stop());

  await done(run("create", "secret", "account", "--group", "prod", ...data));
  await done(run("update", "secret", "account", "--group", "prod", ...data));
  const deployed = await done(run("create", "deployment", repository.url));
  expect(deployed.stdout).toContain("train | in a line: *** and on");
  const { url = "" } = await client.service("canary", "serve");
  expect(await (await fetch(url)).text()).toBe("served");
  const schedule = ["--schedule", "0 0 1 1 *", "--retries", "0"];
  await done(run("create", "cronjob", repository.url, "--name", "yearly", ...schedule));
  await makeDue("yearly");
  await eventually(
    async () => (await jobsOf("cronjob", "yearly", "--history"))[0]?.status === "succeeded",
    60,
  );

  await repository.commit(project(failing));
  const failed = await run("create", "deployment", repository.url);
  expect(failed.exitCode).toBe(1);
  expect(failed.stdout).toContain("RuntimeError: cannot log in with");
  expect(failed.stdout).toContain('told: Stage "train" failed: exit 1');
  const asJob = ["--async", "--async-job-name", "once", "--retries", "0"];
  await done(run("create", "deployment", repository.url, ...asJob));
  await eventually(async () => (await jobsOf("deployments", "--async"))[0]?.status === "failed", 60);

  for (const look of [
    ["get", "deployment", "canary", "--output", "json"],
    ["get", "runs", "canary", "--output", "json"],
    ["get", "run", (await client.runs())[0]?.id ?? "", "--output", "yaml"],
    ["logs", "canary"],
    ["logs", "canary", "serve", "--output", "json"],
    ["get", "deployments", "--async", "--logs", "async-workflow-once"],
    ["get", "cronjob", "yearly", "--logs", (await jobsOf("cronjob", "yearly", "--history"))[0]?.id ?? ""],
    ["get", "secrets", "--output", "json"],
  ]) {
    await done(run(...look));
  }
  await done(clientWith(tokens.reveal).run("server", "audit", "--limit", "1000"));

  const shown = outputs.filter(({ stdout, stderr }) => canaries.isIn(stdout) || canaries.isIn(stderr));
  expect(shown.map(({ stdout, stderr }) => stdout + stderr)).toEqual([]);
  expect(proxy.answers.length).toBeGreaterThan(20);
  expect(proxy.answers.filter(({ body }) => canaries.isIn(body)).map(({ to }) => to)).toEqual([]);
  expect(watching.stop()).toEqual([]);
  expect(canaries.filesBelow(machine.tool.home)).toEqual([]);
  expect(canariesOf(Object.values(tokens)).filesBelow(machine.tool.home)).toEqual([]);
  expect(existsSync(join(machine.tool.home, "server.log"))).toBe(true);

  const revealed = await done(
    clientWith(tokens.reveal).run("get", "secret", "account", "--group", "prod", "--output", "json"),
  );
  expect(JSON.parse(revealed.stdout).data).toEqual(values);
  expect(proxy.answers.filter(({ body }) => canaries.isIn(body)).map(({ to }) => to)).toEqual([
    "POST /api/v1/secrets/reveal",
  ]);
}, 240_000);

test("what is looked for would be found: in a file in any form, in its name, and in a command line", async () => {
  const folder = temporaryFolder("planted");
  const forms = {
    "as it is": `a ${values.PASSWORD} b`,
    hexadecimal: Buffer.from(values.PASSWORD).toString("hex"),
    "in the middle of base64": Buffer.from(`me:${values.PASSWORD}:you`).toString("base64"),
    "one line of a key": values.PRIVATE_KEY.split("\n")[1] ?? "",
    "in JSON": JSON.stringify({ key: values.PRIVATE_KEY }),
    "in a URL": `https://me:${encodeURIComponent(values.ACCOUNT)}@db.example`,
  };
  for (const [name, text] of Object.entries(forms)) writeFileSync(join(folder, name), text);
  writeFileSync(join(folder, "of no interest"), "c4n4ry");
  expect(canaries.filesBelow(folder).toSorted()).toEqual(Object.keys(forms).toSorted());
  const named = join(folder, Buffer.from(values.PASSWORD).toString("hex"));
  writeFileSync(named, "");
  expect(canaries.filesBelow(folder).length).toBe(Object.keys(forms).length + 1);
  rmSync(named);

  const watching = watchCommandLines(canaries);
  const child = spawn("sleep", ["0.5", "0"], { argv0: values.PASSWORD, stdio: "ignore" });
  await new Promise((resolve) => child.once("close", resolve));
  const found = watching.stop();
  if (process.platform === "linux") expect(found).toEqual([`${values.PASSWORD} 0.5 0`]);

  // And the home folder is read: what it must have in clear, the token of the machine's own commands, is found.
  const { home } = machine.tool;
  const { token }: { token: string } = JSON.parse(readFileSync(join(home, "server.json"), "utf8"));
  expect(canariesOf([token]).filesBelow(home)).toEqual(["server.json"]);
}, 60_000);

async function jobsOf(...args: readonly string[]): Promise<readonly Job[]> {
  const { stdout } = await done(machine.tool.run("get", ...args, "--output", "json"));
  const found: readonly Job[] | { readonly jobs: readonly Job[] } = JSON.parse(stdout);
  return "jobs" in found ? found.jobs : found;
}

/** Has its last due time be one that passed while no server ran. */
async function makeDue(name: string): Promise<void> {
  const { home, run } = machine.tool;
  await done(run("server", "stop"));
  const store = openStore(join(home, "store.db"));
  const cronjob = store.cronjob(name) as Cronjob;
  const yearAgo = new Date(Date.now() - 366 * 86_400_000).toISOString();
  store.saveCronjob({ ...cronjob, createdAt: yearAgo, decidedUntil: yearAgo });
  store.close();
  const { stdout } = await done(run("server", "start", "--output", "json"));
  expect((JSON.parse(stdout) as ServerStatus).running).toBe(true);
}
