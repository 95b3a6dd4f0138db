import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { asFailure, type Failure } from "../../../src/core/failure.ts";
import type { BatchTask } from "../../../src/core/run-state.ts";
import type { SecretReference } from "../../../src/core/secret-state.ts";
import { revealSecrets } from "../../../src/engines/local/reveal-secrets.ts";
import type { BatchOutcome, TaskObserver } from "../../../src/ports/engine.ts";
import { type FakeSecrets, fakeSecrets } from "../../support/fake-secrets.ts";
import type { Files } from "../../support/git-project.ts";
import { type LocalMachine, leaveMark, localMachine, until } from "../../support/local-machine.ts";
import { answering } from "../../support/pipelines.ts";
import { batchStage, batchTask, serviceStage, serviceTask } from "../../support/tasks.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const never = new AbortController().signal;
const deaf: TaskObserver = { log: () => {}, note: () => {} };
const canary = "canary-7f3a/+9b2c";

async function machineOf(files: Files): Promise<LocalMachine> {
  const machine = await localMachine(files);
  onTestFinished(() => machine.stop(), 60_000);
  return machine;
}

function secretsOf(data: Readonly<Record<string, string>>): FakeSecrets {
  const secrets = fakeSecrets();
  secrets.set("dev", "credentials", data);
  return secrets;
}

function references(...keys: readonly string[]): Readonly<Record<string, SecretReference>> {
  return Object.fromEntries(keys.map((key) => [key, { group: "dev", name: "credentials", key, version: 1 }]));
}

/** Runs one batch stage with these secrets. */
async function outcomeOf(
  program: string,
  data: Readonly<Record<string, string>>,
): Promise<{ readonly outcome: BatchOutcome; readonly log: string }> {
  const machine = await machineOf({ "stage.py": program });
  const { engine } = await machine.connect({ secrets: secretsOf(data) });
  const logs: string[] = [];
  const task: BatchTask = machine.of(
    batchTask(batchStage("stage"), { secrets: references(...Object.keys(data)) }),
  );
  const observer: TaskObserver = { log: (_, path) => logs.push(path), note: () => {} };
  const outcome = await engine.runBatch(task, observer, never);
  const log = logs[0] === undefined ? "" : readFileSync(join(machine.home, logs[0]), "utf8");
  return { outcome, log };
}

function failureOf(name: string, value: string): Failure {
  try {
    revealSecrets(
      batchTask(batchStage("stage"), { secrets: references(name) }),
      secretsOf({ [name]: value }),
    );
  } catch (error) {
    return asFailure(error);
  }
  throw new Error("it was not refused");
}

test("a stage has its secrets as variables, above those of the machine, and its log has none of them", async () => {
  const data = {
    TOKEN: canary,
    LANG: "xx_XX.canary",
    HOST: "db.canary.example",
    "my-key": `with\nlines and € ${canary}\n`,
    BODYWORK_GIT_SSH_PRIVATE_KEY: "-----BEGIN canary-----",
  };
  const program = `
import json, os
expected = json.loads(bytes.fromhex("${Buffer.from(JSON.stringify(data)).toString("hex")}").decode())
print([name for name, value in expected.items() if os.environ.get(name) != value])
print([name for name in os.environ if "SHIM" in name or "HELD" in name], os.environ["MARKS"] != "")
print("the token is", os.environ["TOKEN"], os.environ["TOKEN"].encode().hex())
`;
  const { outcome, log } = await outcomeOf(program, data);
  expect(log).toBe("[]\n[] True\nthe token is *** ***\n");
  expect(outcome.kind).toBe("succeeded");
});

test("the last lines of a stage that failed are masked as its log is", async () => {
  const program = "import os\nraise SystemExit('no entry with ' + os.environ['TOKEN'])\n";
  const { outcome } = await outcomeOf(program, { TOKEN: canary });
  expect(outcome).toEqual({ kind: "failed", reason: "exit 1", lastLines: ["no entry with ***"] });
});

test.each([
  "PATH",
  "PYTHONPATH",
  "PYTHONHOME",
  "VIRTUAL_ENV",
  "LD_PRELOAD",
  "DYLD_INSERT_LIBRARIES",
  "BODYWORK_INSTANCE",
  "BODYWORK_RUN_ID",
  "BODYWORK_GIT_SSH_PRIVATE_KEY_2",
  "a=b",
  "",
])("a secret may not be in the variable %j, and the failure does not tell its value", (name) => {
  const failure = failureOf(name, canary);
  expect(failure).toMatchObject({
    code: "stage-failed",
    message: expect.stringContaining(JSON.stringify(name)),
  });
  expect(JSON.stringify([failure.message, failure.hint, failure.details])).not.toContain("canary");
});

const longest = 128 * 1024 - "TOKEN=\0".length;

test.each([
  ["a NUL character", `${canary}\0`],
  ["131073 bytes long", canary.padEnd(longest + 1, "x")],
])("a value that no variable can have is refused without telling it: %s", async (reason, value) => {
  const failure = failureOf("TOKEN", value);
  expect(failure).toMatchObject({ code: "stage-failed", message: expect.stringContaining(reason) });
  expect(failure.message).toContain('the key "TOKEN" of the secret "credentials" in group "dev"');
  const { outcome } = await outcomeOf("", { TOKEN: value });
  expect(outcome).toEqual({ kind: "failed", reason: failure.message, lastLines: [] });
  expect(JSON.stringify([failure.message, failure.hint, outcome])).not.toContain("canary");
});

test("the longest value that a variable can have arrives whole", async () => {
  const { outcome, log } = await outcomeOf("import os\nprint(len(os.environ['TOKEN']))", {
    TOKEN: canary.padEnd(longest, "x"),
  });
  expect([outcome.kind, log]).toEqual(["succeeded", `${longest}\n`]);
});

test("a secret that is not to be had fails the stage with the reason", async () => {
  const machine = await machineOf({ "stage.py": "" });
  const { engine } = await machine.connect();
  const task = machine.of(batchTask(batchStage("stage"), { secrets: references("TOKEN") }));
  expect(await engine.runBatch(task, deaf, never)).toEqual({
    kind: "failed",
    reason: "credentials has no version 1.",
    lastLines: [],
  });
});

test("a replica that is started again has the version of its own release, though the secret has changed", async () => {
  const program = `${leaveMark}print("I have", len(os.environ["TOKEN"]), os.environ["TOKEN"], flush=True)
${answering("one")}`;
  const machine = await machineOf({ "serve.py": program });
  const secrets = secretsOf({ TOKEN: "first-canary" });
  const { engine } = await machine.connect({ secrets });
  const task = machine.of(serviceTask(serviceStage("serve"), { secrets: references("TOKEN") }));
  expect(await engine.rollOut(task, deaf, never)).toEqual({ kind: "serving" });
  secrets.set("dev", "credentials", { TOKEN: "second-canary!" });
  process.kill(machine.pids(task)[0] as number, "SIGKILL");
  await until(() => machine.pids(task).length === 2);
  await until(() => engine.services()[0]?.state === "serving");
  const log = engine.services()[0]?.replicas[0]?.log ?? "";
  expect(log).toContain("start-2");
  expect(readFileSync(join(machine.home, log), "utf8")).toContain("I have 12 ***\n");
}, 60_000);

test("a stage that goes on while no server runs, and is adopted by the next, is masked to its end", async () => {
  const program = `${leaveMark}
for i in range(40):
    print(i, os.environ["TOKEN"], flush=True)
    time.sleep(0.05)
raise SystemExit(7)
`;
  const machine = await machineOf({ "stage.py": program });
  const first = await machine.connect({ secrets: secretsOf({ TOKEN: canary }) });
  const task = machine.of(batchTask(batchStage("stage"), { secrets: references("TOKEN") }));
  void first.engine.runBatch(task, deaf, never).catch(() => {});
  await until(() => machine.pids(task).length === 1);
  first.kill();
  const second = await machine.connect();
  expect(await second.engine.runBatch(task, deaf, never)).toEqual({
    kind: "failed",
    reason: "exit 7",
    lastLines: Array.from({ length: 20 }, (_, index) => `${index + 20} ***`),
  });
  expect(machine.pids(task)).toHaveLength(1);
});

/** What a text holds of a value in each encoding, whatever is around it. */
function spellings(value: string): readonly string[] {
  const bytes = Buffer.from(value);
  const inner = ["", "x", "yz"].map((before, shift) =>
    Buffer.concat([Buffer.from(before), bytes])
      .toString("base64")
      .slice([0, 2, 3][shift], Math.floor(((shift + bytes.length) * 8) / 6)),
  );
  const base64 = inner.flatMap((one) => [one, one.replaceAll("+", "-").replaceAll("/", "_")]);
  const hex = bytes.toString("hex");
  return [...new Set([value, encodeURIComponent(value), ...base64, hex, hex.toUpperCase()])];
}

function filesWith(folder: string, texts: readonly string[]): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => {
      const content = readFileSync(file);
      return texts.some((one) => content.includes(one));
    });
}

/** Looks at the command lines of all processes again and again; `stop` gives those that had one of the texts. */
async function watchCommandLines(texts: readonly string[]): Promise<{ stop(): Promise<string> }> {
  const file = join(temporaryFolder(), "texts.json");
  writeFileSync(file, JSON.stringify(texts));
  const program = `
import json, os, select, sys
texts = [text.encode() for text in json.load(open(sys.argv[1]))]
print("looking", flush=True)
seen = set()
while not select.select([0], [], [], 0.0005)[0]:
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                line = open("/proc/%s/cmdline" % pid, "rb").read()
            except OSError:
                continue
            if line not in seen and any(text in line for text in texts):
                seen.add(line)
                print(line, flush=True)
`;
  const child: ChildProcess = spawn("python3", ["-c", program, file], { stdio: ["pipe", "pipe", "inherit"] });
  let output = "";
  child.stdout?.on("data", (data: Buffer) => {
    output += String(data);
  });
  await until(() => output.includes("looking"));
  return {
    async stop() {
      const closed = new Promise((resolve) => child.once("close", resolve));
      child.stdin?.end();
      await closed;
      return output.replace("looking\n", "");
    },
  };
}

test("a secret is in no file below the home folder and on no command line, while its stage runs and after", async () => {
  const printing = `${leaveMark}
import base64, json, sys, urllib.parse
for name in ("TOKEN", "my-key"):
    value = os.environ[name]
    print(value, json.dumps(value), repr(value), urllib.parse.quote(value, safe=""))
    print(value.encode().hex(), value.encode().hex().upper())
    for before in ("", "x", "yz"):
        print(base64.b64encode((before + value).encode()), base64.urlsafe_b64encode((before + value).encode()))
print(dict(os.environ), file=sys.stderr, flush=True)
`;
  const failing = `${printing}time.sleep(0.3)\nraise RuntimeError(os.environ["TOKEN"])\n`;
  const data = { TOKEN: canary, "my-key": "kanarie-0d4e/+1a8f" };
  const texts = Object.values(data).flatMap(spellings);
  const machine = await machineOf({ "stage.py": failing, "serve.py": `${printing}${answering("one")}` });
  const { engine } = await machine.connect({ secrets: secretsOf(data) });
  const secrets = references(...Object.keys(data));
  const sampler = await watchCommandLines(texts);
  const outcomes = await Promise.all(
    [1, 2, 3].map((attempt) =>
      engine.runBatch(machine.of(batchTask(batchStage("stage"), { secrets, attempt })), deaf, never),
    ),
  );
  const service = machine.of(serviceTask(serviceStage("serve"), { secrets }));
  expect(await engine.rollOut(service, deaf, never)).toEqual({ kind: "serving" });
  expect(filesWith(machine.home, texts)).toEqual([]);
  const told = JSON.stringify([outcomes, engine.services()]);
  await machine.stop();
  expect(await sampler.stop()).toBe("");
  expect(outcomes.map(({ kind }) => kind)).toEqual(["failed", "failed", "failed"]);
  expect(filesWith(machine.home, texts)).toEqual([]);
  expect(filesWith(machine.home, ["RuntimeError: ***"])).toHaveLength(3);
  expect(texts.filter((one) => told.includes(one))).toEqual([]);
}, 60_000);

test("what is looked for in files and on command lines would be found there", async () => {
  const folder = temporaryFolder();
  const texts = spellings(canary);
  for (const [index, one] of texts.entries()) writeFileSync(join(folder, String(index)), `a ${one} b`);
  expect(filesWith(folder, texts)).toHaveLength(texts.length);
  const sampler = await watchCommandLines(texts);
  for (const one of texts) {
    const child = spawn("sleep", ["0.1"], { argv0: `sleep ${one}` });
    await new Promise((resolve) => child.once("close", resolve));
  }
  const found = await sampler.stop();
  expect(texts.filter((one) => !found.includes(one))).toEqual([]);
});
