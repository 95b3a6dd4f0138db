import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { makePod, otherPythons, pathWith } from "./support.ts";

const token = "hunter2-hunter3/+&?x";
const secret = { specification: { secretVariables: ["TOKEN"] }, variables: { TOKEN: token } };
const fixture = new URL("../../../fixtures/mask-forms.json", import.meta.url);

test("what a stage and its children print of its secrets is not in the log, on either stream", async () => {
  const pod = await makePod({
    "main.py": `
import os, subprocess, sys
print("in words", os.environ["TOKEN"])
print("in errors", os.environ["TOKEN"], file=sys.stderr)
subprocess.run(["sh", "-c", 'echo "of a child $TOKEN"; printenv TOKEN | base64'])
open("/proc/self/fd/1", "w").write("by the way " + os.environ["TOKEN"] + "\\n")
print("the end")
`,
  });
  const { log, exitCode } = await pod.run(secret);
  for (const line of ["in words ***", "in errors ***", "of a child ***", "by the way ***", "the end"]) {
    expect(log).toContain(`${line}\n`);
  }
  expect(log).not.toMatch(/hunter|aHVudGVy/);
  expect(log).toMatch(/the end\n\[.{17}\] INFO {5}Successfully ran stage = .*\n$/);
  expect(exitCode).toBe(0);

  const control = await pod.run({ ...secret, specification: { secretVariables: [] } });
  expect(control.log).toContain(`in words ${token}\n`);
  expect(control.log).toContain("aHVudGVy");
});

test("the spellings that are masked are those of the local engine, wherever they are split in two", async () => {
  const cases = (JSON.parse(readFileSync(fixture, "utf8")) as { value: string; forms: string[] }[]).filter(
    ({ value }) => !value.includes("\0"),
  );
  const pod = await makePod({
    "forms.json": JSON.stringify(cases.flatMap(({ forms }) => forms)),
    "main.py": `
import json, os, time
for index, form in enumerate(json.load(open("forms.json"))):
    data = form.encode()
    at = index % len(data)
    os.write(1, b"( " + data[:at])
    time.sleep(0.001)
    os.write(2, data[at:] + b" )\\n")
`,
  });
  const run = {
    specification: { secretVariables: cases.map((_, index) => `S_${index}`) },
    variables: Object.fromEntries(cases.map(({ value }, index) => [`S_${index}`, value])),
  };
  const { log } = await pod.run(run);
  const count = cases.reduce((sum, { forms }) => sum + forms.length, 0);
  expect(count).toBeGreaterThan(100);
  expect(log.match(/^\( \*\*\* \)$/gm)).toHaveLength(count);

  const control = await pod.run({ ...run, specification: { secretVariables: [] } });
  expect(control.log).not.toContain("***");
});

test("each line of a secret of several lines is masked, in pieces too", async () => {
  const key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASCB\n-----END KEY-----\n";
  const pod = await makePod({
    "main.py": `
import os, sys, time
for byte in os.environ["KEY"]:
    sys.stdout.write(byte)
    sys.stdout.flush()
    time.sleep(0.001)
print("and", os.environ["KEY"].splitlines()[1][:8], end="")
sys.stdout.flush()
time.sleep(0.05)
print(os.environ["KEY"].splitlines()[1][8:])
`,
  });
  const { log } = await pod.run({ specification: { secretVariables: ["KEY"] }, variables: { KEY: key } });
  expect(log).toContain("***and ***\n");
  expect(log).not.toMatch(/MIIE|kiG9|END KEY/);
});

test("a value that is too short for a secret is left in the log, and no other variable is masked", async () => {
  const pod = await makePod({ "main.py": "import os; print(os.environ['SHORT'], os.environ['OTHER'])" });
  const { log } = await pod.run({
    specification: { secretVariables: ["SHORT", "NOT_THERE"] },
    variables: { SHORT: "abc", OTHER: "in the open" },
  });
  expect(log).toContain("\nabc in the open\n");
});

test("what a stage with secrets prints is in the log at once, and it is told to end as ever", async () => {
  const pod = await makePod({
    "main.py": `
import os, signal, sys, time
def end(*_):
    time.sleep(0.3)
    print("bye", os.environ["TOKEN"])
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("serving", end="")
time.sleep(300)
`,
  });
  const stop = new AbortController();
  const { log, exitCode, report } = await pod.run({
    variables: secret.variables,
    specification: { ...secret.specification, kind: "service" },
    signal: stop.signal,
    onOutput: (text) => {
      if (text.includes("serving")) stop.abort();
    },
  });
  expect(log).toContain("servingbye ***\n");
  expect(exitCode).toBe(0);
  expect(report).toMatchObject({ status: "succeeded" });
});

test.each([
  ["raise SystemExit(3)", "exit 3"],
  ["import os; os.kill(os.getpid(), 9)", "SIGKILL"],
  ["import time; time.sleep(300)", "timed out after 2 s"],
])("how a stage with secrets ended is told as ever, with all that it wrote: %s", async (ending, reason) => {
  const pod = await makePod({
    "main.py": `
import os
for i in range(60_000): os.write(1, b"a line %d\\n" % i)
os.write(1, os.environb[b"TOKEN"] + b"\\n")
${ending}
`,
  });
  const { log, exitCode, report } = await pod.run({
    ...secret,
    specification: { ...secret.specification, timeoutSeconds: 2 },
  });
  expect(log).toMatch(/\na line 59999\n\*\*\*\n\[.{17}\] ERROR {4}Stage train failed - .*\n$/);
  expect(log.match(/^a line/gm)).toHaveLength(60_000);
  expect(exitCode).toBe(1);
  expect(report).toMatchObject({ status: "failed", reason, phase: "module" });
});

test("what a stage leaves behind and goes on writing does not hold up the end", async () => {
  const pod = await makePod({
    "main.py": `
import subprocess
child = subprocess.Popen(["sh", "-c", 'while echo "$TOKEN"; do :; done'], start_new_session=True)
print("child", child.pid)
`,
  });
  const begun = performance.now();
  const { log, exitCode } = await pod.run(secret);
  expect(performance.now() - begun).toBeLessThan(10_000);
  expect(exitCode).toBe(0);
  expect(log).toContain("Successfully ran stage");
  expect(log).not.toContain("hunter");
  // It is not the container's only program here, so it ends by itself: nobody has the pipe any more.
  const child = Number(/child (\d+)/.exec(log)?.[1]);
  await expect.poll(() => isThere(child), { timeout: 5_000 }).toBe(false);
});

test("neither what an installer prints of a secret is in the log, nor what is reported", async () => {
  const pod = await makePod({ "main.py": "" });
  const variables = {
    PIP_NO_INDEX: "",
    PIP_RETRIES: "0",
    UV_HTTP_RETRIES: "0",
    PIP_INDEX_URL: "http://127.0.0.1:9/hunter2-path/simple",
    WORD: "hunter2",
  };
  const requirements = ["bodywork-no-such-hunter2"];
  const run = async (secretVariables: readonly string[]) =>
    pod.run({ specification: { requirements, secretVariables }, variables });
  const { log, report } = await run(["WORD"]);
  expect(log).toContain("127.0.0.1:9/***-path/simple");
  expect(log).not.toContain("hunter");
  expect(report?.reason).toMatch(/could not install "bodywork-no-such-\*\*\*"/);

  const control = await run([]);
  expect(control.log).toContain("127.0.0.1:9/hunter2-path/simple");
  expect(control.report?.reason).toContain("bodywork-no-such-hunter2");
}, 60_000);

test("a secret is not in what is left of a long reason either", async () => {
  const pod = await makePod({ "main.py": "" });
  const requirements = [`./${token.repeat(600)}`];
  const { report } = await pod.run({ ...secret, specification: { ...secret.specification, requirements } });
  expect(report?.reason).toContain("***");
  expect(report?.reason).not.toContain("hunter");
});

test("a stage whose secrets cannot be masked goes on, with nothing more in its log", async () => {
  const pod = await makePod({
    "main.py": "import os\nfor _ in range(20_000): print(os.environ['TOKEN'])\nraise SystemExit(4)",
  });
  const path = join(pod.top, "program", "mask_log.py");

  writeFileSync(
    path,
    `${readFileSync(path, "utf8")}\nfeed = Masker.feed\ndef broken(self, data):\n    if b"hunter" in data: raise MemoryError\n    return feed(self, data)\nMasker.feed = broken\n`,
  );
  const { log, report } = await pod.run(secret);
  expect(log).toMatch(/\n\[bodywork: the log ends here: the secrets in it cannot be masked\]\n$/);
  expect(log).not.toContain("hunter");
  expect(report).toMatchObject({ status: "failed", reason: "exit 4" });
});

const pythons = otherPythons();

test.skipIf(pythons.size === 0).each([...pythons])("Python %s masks secrets", async (_, python) => {
  const pod = await makePod({ "main.py": "import os; print('got', os.environ['TOKEN'])" });
  const { log } = await pod.run({ ...secret, variables: { TOKEN: token, PATH: pathWith(python) } });
  expect(log).toContain("\ngot ***\n");
});

test("secrets are masked by the Python that the stage asks for", async () => {
  const [one, other] = [...pythons];
  if (one === undefined || other === undefined) return;
  const pod = await makePod({
    "main.py": "import os, sys; print(sys.version_info[:2], os.environ['TOKEN'])",
  });
  const path = `${join(other[1], "..")}:${join(one[1], "..")}:/usr/bin:/bin`;
  const { log } = await pod.run({
    specification: { ...secret.specification, python: one[0] },
    variables: { TOKEN: token, PATH: path },
  });
  expect(log).toContain(`\n(${one[0].replace(".", ", ")}) ***\n`);
  expect(log).not.toContain("WARNING");
});

function isThere(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
