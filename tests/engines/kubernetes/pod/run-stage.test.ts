import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { createArtifactStore } from "../../../../src/artifacts/artifact-store.ts";
import { specificationVariable } from "../../../../src/engines/kubernetes/pod/pod-contract.ts";
import { prepareWorkspace } from "../../../../src/engines/local/workspace.ts";
import { runCommand } from "../../../../src/lib/run-command.ts";
import { failureOf, makeSource, resolve } from "../../../git/support/source.ts";
import { eventually } from "../../../support/bodywork.ts";
import { fakeSource } from "../../../support/fake-parts.ts";
import { makeProject } from "../../../support/git-project.ts";
import { batchStage, batchTask } from "../../../support/tasks.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { archiveOf, makePod, otherPythons, pathWith, plainPath, putSources } from "./support.ts";

test("a module runs in its own folder, imports from the root, and gets its arguments", async () => {
  const pod = await makePod({
    "shared.py": "name = 'shared'\n",
    "steps/train.py": `
import os, sys, shared
print(os.getcwd(), sys.argv[1:], shared.name, os.environ["PYTHONPATH"])
`,
  });
  const { exitCode, log, report } = await pod.run({
    specification: { module: "steps/train.py", args: ["--epochs", "3 or more"] },
  });
  expect(log).toContain(`${pod.checkout}/steps ['--epochs', '3 or more'] shared ${pod.checkout}\n`);
  expect(log).toMatch(
    /^\[\d\d\/\d\d\/\d\d \d\d:\d\d:\d\d\] INFO {5}Starting stage = train from main branch of repo at https:\/\/example\.com\/shop\.git\n/,
  );
  expect(log).toMatch(/\] INFO {5}Attempting to run module = steps\/train\.py\n/);
  expect(log).toMatch(/\] INFO {5}Successfully ran stage/);
  expect(exitCode).toBe(0);
  expect(report).toMatchObject({ status: "succeeded", outputs: [] });
  expect(report?.pythonVersion).toMatch(/^3\.\d+\.\d+$/);
});

const pythons = otherPythons();

test.skipIf(pythons.size === 0).each([...pythons])("a stage runs by Python %s", async (minor, python) => {
  const pod = await makePod({
    "train.py":
      "import os, sys\nprint(sys.version_info[:2])\nopen('model', 'w').write('1')\nos.makedirs('all/of')\n",
    link: { link: "train.py" },
  });
  const { log, report } = await pod.run({
    specification: {
      module: "train.py",
      outputs: { model: "model", all: "all" },
      storage: { kind: "claim" },
      python: minor,
    },
    variables: { PATH: pathWith(python) },
  });
  expect(log).toContain(`(${minor.replace(".", ", ")})\n`);
  expect(log).not.toContain("WARNING");
  expect(report, log).toMatchObject({ status: "succeeded", outputs: [{ name: "model" }, { name: "all" }] });
});

test("a Python that the image has under its own name is used when it is asked for", async () => {
  const [one, other] = [...pythons];
  if (one === undefined || other === undefined) return;
  const pod = await makePod({ "main.py": "import sys; print('ran by', sys.version_info[:2])" });
  const path = `${join(other[1], "..")}:${join(one[1], "..")}:/usr/bin:/bin`;
  const { log } = await pod.run({ specification: { python: one[0] }, variables: { PATH: path } });
  expect(log).toContain(`ran by (${one[0].replace(".", ", ")})`);
  expect(log.match(/Starting stage/g)).toHaveLength(1);
});

test("another Python than the wanted one is used with a warning", async () => {
  const pod = await makePod({ "main.py": "" });
  const { log, exitCode } = await pod.run({ specification: { python: "3.99" } });
  expect(log).toMatch(
    /WARNING {2}Python 3\.99 is not in this image; Python 3\.\d+\.\d+ \(\S+\) is used instead\.\n/,
  );
  expect(exitCode).toBe(0);
});

test("an image without Python says so", async () => {
  const pod = await makePod({ "main.py": "" });
  const bin = temporaryFolder("bin");
  for (const name of ["dirname", "date", "tr", "sed"]) {
    const found = ["/usr/bin", "/bin"].map((folder) => join(folder, name)).find(existsSync);
    symlinkSync(found as string, join(bin, name));
  }
  // Too old.
  writeFileSync(join(bin, "python"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  const { exitCode, log, report } = await pod.run({ variables: { PATH: bin } });
  expect(exitCode).toBe(1);
  expect(log).toMatch(/^\[.{17}\] ERROR {4}Stage train failed - the image has no Python 3\.7 or newer/);
  expect(report).toMatchObject({ status: "failed", phase: "requirements" });
  expect(report?.reason).toContain("the image has no Python 3.7 or newer");
});

test.each([
  ["raise SystemExit(3)", "exit 3", "CalledProcessError(3, ["],
  ["import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL", "CalledProcessError(-9, ["],
  ["1 / 0", "exit 1", "CalledProcessError(1, ["],
])("a module that does %j fails the stage: %s", async (code, reason, shown) => {
  const pod = await makePod({ "main.py": code });
  const { exitCode, log, report } = await pod.run({ specification: { args: ["a b"] } });
  expect(exitCode).toBe(1);
  expect(report).toMatchObject({ status: "failed", reason, phase: "module" });
  expect(log).toContain(`] ERROR    Stage train failed - ${shown}`);
  expect(log).toContain("'main.py', 'a b'])\n");
});

test("a stage that runs out of time is ended with all that it has started", async () => {
  const pod = await makePod({
    "main.py": `
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("told to end", flush=True) or sys.exit(0))
child = subprocess.Popen(["sleep", "300"])
print("child", child.pid, flush=True)
time.sleep(300)
`,
  });
  const { exitCode, log, report } = await pod.run({ specification: { timeoutSeconds: 1 } });
  expect(exitCode).toBe(1);
  expect(report).toMatchObject({ status: "failed", reason: "timed out after 1 s", phase: "module" });
  expect(log).toContain("told to end\n");
  expect(log).toContain("ERROR    Stage train failed - Timeout exceeded when running main.py (1 s)");
  expect(isAlive(Number(/child (\d+)/.exec(log)?.[1]))).toBe(false);
});

test("a service that is told to end in good order does so, and has not failed", async () => {
  const pod = await makePod({
    "main.py": `
import signal, sys, time
def end(*_):
    time.sleep(0.5)
    print("drained", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("serving", flush=True)
time.sleep(300)
`,
  });
  const { exitCode, log, report } = await untilTold(pod, "service");
  expect(log).toContain("drained\n");
  expect(exitCode).toBe(0);
  expect(report).toMatchObject({ status: "succeeded" });
});

test("a batch stage whose pod is to go has failed, whatever it says itself", async () => {
  const pod = await makePod({
    "main.py": `
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("serving", flush=True)
time.sleep(300)
`,
  });
  const { exitCode, report } = await untilTold(pod, "batch");
  expect(exitCode).toBe(1);
  expect(report).toMatchObject({ status: "failed", reason: "SIGTERM", phase: "module" });
});

/** Sends SIGTERM to the container once its stage says that it serves. */
async function untilTold(pod: Awaited<ReturnType<typeof makePod>>, kind: "batch" | "service") {
  const end = new AbortController();
  const onOutput = (text: string): void => {
    if (text.includes("serving")) end.abort();
  };
  return pod.run({ specification: { kind }, signal: end.signal, onOutput });
}

test("a container that starts again begins with a clean copy of the commit", async () => {
  const pod = await makePod({
    "main.py": `
import os
print("found", sorted(os.listdir(".")))
os.makedirs("left/over")
os.chmod("left", 0o500)
open("main.py", "w").write("changed")
`,
  });
  for (let time = 0; time < 2; time++) {
    const { log, exitCode } = await pod.run();
    expect(log).toContain("found ['main.py']\n");
    expect(exitCode).toBe(0);
  }
});

test("the commit that a source archives is what the stage sees", async () => {
  const project = await makeProject({
    files: {
      "main.py":
        "import os; print(os.path.realpath('latest'), os.access('run.sh', os.X_OK), os.access('a', os.X_OK))",
      "run.sh": { script: "#!/bin/sh\n" },
      a: "",
      latest: { link: "run.sh" },
      [`${"long/".repeat(60)}x`]: "",
      "grüße.txt": "",
    },
  });
  const { source, fresh } = makeSource();
  const commit = await resolve(source, { url: project.url });
  const pod = await makePod({});
  putSources(join(pod.top, "sources"), await source.archive(commit));
  const { log } = await pod.run();
  expect(log).toContain(`${pod.checkout}/run.sh True False\n`);
  const folder = fresh();
  await source.checkOut(commit, folder);
  project.remove();
  const names = (path: string) => readdirSync(path, { recursive: true }).sort();
  expect(names(pod.checkout)).toEqual(names(folder));
});

test.each([
  ["a path that leads outside", { name: "../outside", text: "1" }],
  ["an absolute path", { name: "/outside", text: "1" }],
  ["a file behind a link", { name: "link/outside", text: "1" }],
])("nothing is unpacked to %s", async (_, member) => {
  const pod = await makePod({ "main.py": "" });
  const script = `
import io, sys, tarfile
archive = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
link = tarfile.TarInfo("link")
link.type, link.linkname = tarfile.SYMTYPE, sys.argv[2]
archive.addfile(link)
file = tarfile.TarInfo(sys.argv[1])
file.size = 1
archive.addfile(file, io.BytesIO(b"1"))
archive.close()
`;
  const args = ["-c", script, member.name, join(pod.top, "home")];
  const made = await runCommand("python3", args, { env: { PATH: await plainPath() } });
  putSources(join(pod.top, "sources"), gzipSync(made.stdoutBytes));
  const { report } = await pod.run();
  expect(report).toMatchObject({ status: "failed", phase: "sources" });
  expect(existsSync(join(pod.top, "home/outside"))).toBe(false);
  expect(existsSync(join(pod.top, "work/outside"))).toBe(false);
});

test.each([
  ["whose last part is missing", (folder: string) => rmSync(join(folder, "part-002"))],
  ["that is damaged", (folder: string) => writeFileSync(join(folder, "part-001"), "x")],
  ["that is not there", (folder: string) => readdirSync(folder).map((name) => rmSync(join(folder, name)))],
])("a commit %s runs nothing", async (_, harm) => {
  const pod = await makePod({
    "main.py": "print('ran')",
    "b.bin": new Uint8Array(50_000).map((_, i) => i * i),
  });
  harm(join(pod.top, "sources"));
  const { log, report } = await pod.run();
  expect(report).toMatchObject({ status: "failed", phase: "sources" });
  expect(log).not.toContain("ran\n");
});

test("a commit that ends too early runs nothing, also where the end looks like one", async () => {
  const pod = await makePod({});
  // A tar archive may end after any file: only the end of the compressed stream tells.
  const tar = gunzipSync(await archiveOf({ "main.py": "print('ran')", "other.py": "" }));
  putSources(join(pod.top, "sources"), gzipSync(tar.subarray(0, 1024)).subarray(0, -8));
  const { log, report } = await pod.run();
  expect(report).toMatchObject({ status: "failed", phase: "sources" });
  expect(log).not.toContain("ran\n");
});

test("processes that a module leaves behind end with it", async () => {
  const pod = await makePod({
    "main.py": "import subprocess; print('child', subprocess.Popen(['sleep', '300']).pid)",
  });
  const { exitCode, log } = await pod.run();
  expect(exitCode).toBe(0);
  const child = Number(/child (\d+)/.exec(log)?.[1]);
  await eventually(async () => !isAlive(child), 5);
});

test("a module that a link leads out of the repository for is refused as the local engine refuses it", async () => {
  const pod = await makePod({ steps: { link: "/usr/lib" } });
  const { report } = await pod.run({ specification: { module: "steps/train.py" } });
  const task = batchTask(batchStage("train", { modulePath: "steps/train.py" }), {});
  const source = {
    ...fakeSource(),
    checkOut: async (_commit: unknown, folder: string) => {
      mkdirSync(folder);
      symlinkSync("/usr/lib", join(folder, "steps"));
    },
  };
  const work = temporaryFolder("work");
  const artifacts = createArtifactStore({ folder: join(work, "artifacts") });
  const local = prepareWorkspace(task, join(work, "root"), source, artifacts, new AbortController().signal);
  expect(report?.reason).toBe((await failureOf(local)).message);
});

test("the stage sees its container's variables, but not what is for us alone", async () => {
  const pod = await makePod({
    "main.py": "import os\nfor each in sorted(os.environ.items()): print(*each)\n",
  });
  const { log } = await pod.run({
    variables: {
      PASSWORD: "x",
      PORT: "80",
      BODYWORK_STORAGE_SECRET_ACCESS_KEY: "hidden",
      PYTHONPATH: "/image",
    },
  });
  for (const line of ["PASSWORD x", "PORT 80", `PYTHONPATH ${pod.checkout}`, "PYTHONUNBUFFERED 1"]) {
    expect(log).toContain(`\n${line}\n`);
  }
  expect(log).not.toContain("hidden");
  expect(log).not.toContain(specificationVariable);
});

test("a long reason still fits into a pod's last message", async () => {
  const pod = await makePod({ "main.py": "" });
  const { report } = await pod.run({ specification: { requirements: [`./${"ü".repeat(5000)}`] } });
  expect(report?.reason).toMatch(/ü…$/);
  expect(readFileSync(join(pod.top, "termination-log")).length).toBeLessThanOrEqual(4096);
});

test("a program that the kernel ends for its memory is said to be out of memory", async () => {
  const pod = await makePod({ "main.py": "" });
  const script = `
import runpy, sys
stage = runpy.run_path(sys.argv[1], run_name="stage")
counts = iter([0, 1])
scope = stage["run_program"].__globals__
scope["out_of_memory_kills"] = lambda: next(counts)
scope["memory_limit"] = lambda: 100
scope["log"] = print
specification = {"module": "main.py", "args": ["import os; os.kill(os.getpid(), 9)"], "kind": "batch"}
class Alone: python = sys.executable
import os
os.chdir(sys.argv[2]); open("main.py", "w").write("import os; os.kill(os.getpid(), 9)")
try:
    stage["run_module"](specification, None, Alone, os.path.abspath("main.py"), dict(os.environ), stage["Signals"]())
except stage["Failed"] as failure:
    print("reason:", failure.reason)
`;
  const args = ["-c", script, join(pod.top, "program/run_stage.py"), temporaryFolder("out")];
  const { stdout, stderr } = await runCommand("python3", args, { env: { PATH: await plainPath() } });
  expect(stdout + stderr).toContain("reason: out of memory (limit 100 MiB)\n");
});

test("a signal is not missed, however soon after the start of a stage it comes", async () => {
  const pod = await makePod({});
  const script = `
import os, runpy, signal, subprocess, sys, threading
stage = runpy.run_path(sys.argv[1], run_name="stage")
popen = subprocess.Popen
def tell():
    # As from another process: not for this thread.
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    os.kill(os.getpid(), signal.SIGTERM)
delays = [round / 50_000 for round in range(300)]
for delay in delays:
    signals = stage["Signals"]()
    def start(*args, **options):
        threading.Timer(delay, tell).start()
        return popen(*args, **options)
    stage["subprocess"].Popen = start
    ended = stage["run_program"](["sleep", "60"], "/", dict(os.environ), None, signals)
    assert ended.signal == signals.received == signal.SIGTERM, vars(ended)
print("ended", len(delays))
`;
  const args = ["-c", script, join(pod.top, "program/run_stage.py")];
  const { stdout, stderr } = await runCommand("python3", args, { env: { PATH: await plainPath() } });
  expect(stdout + stderr).toContain("ended 300\n");
}, 30_000);

/** Not so when it only waits to be taken note of, for in a test its parent is not the program. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
