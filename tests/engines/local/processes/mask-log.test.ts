import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

import type { ProcessSpec, RunningProcess } from "../../../../src/engines/local/processes/processes.ts";
import { runCommand } from "../../../../src/lib/run-command.ts";
import { processesBelow } from "../../../support/orphans.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { type Bench, createBench, path, runs, text, until } from "./support.ts";

const masker = fileURLToPath(new URL("../../../../src/engines/local/mask_log.py", import.meta.url));
const lost = "[bodywork: a part of the log was lost here]";

const token = "hunter2-hunter3/+&?x";

function masked(values: Readonly<Record<string, string>>): Pick<ProcessSpec, "secrets"> {
  return { secrets: { values, python: "python3", masker } };
}

/** A Python program that has the secrets in its environment. */
function python(
  bench: Bench,
  program: string,
  values: Readonly<Record<string, string>>,
  more: Partial<ProcessSpec> = {},
): Promise<RunningProcess> {
  return bench.processes.start({
    folder: bench.folder(),
    nonce: `nonce-${Math.random()}`,
    command: ["python3", "-c", program],
    cwd: bench.root,
    env: { PATH: path },
    ...(Object.keys(values).length === 0 ? {} : masked(values)),
    ...more,
  });
}

/** The process ids of the program that masks a process's log, and of the script that keeps it running. */
function maskersOf(running: RunningProcess): { readonly masker: number; readonly keeper: number } {
  const found = processesBelow(join(running.logFile, ".."));
  const pidOf = (name: RegExp): number => found.find(({ command }) => name.test(command))?.pid ?? 0;
  return { masker: pidOf(/^python3 .*mask_log\.py/), keeper: pidOf(/keep-masking\.sh/) };
}

async function whenMasking(running: RunningProcess): Promise<ReturnType<typeof maskersOf>> {
  await until(() => maskersOf(running).masker > 0);
  // It may just be starting: Python's own handlers are there when it reads.
  await sleep(200);
  return maskersOf(running);
}

const values = {
  SHORT: "q7Zk",
  TOKEN: token,
  UNICODE: "pässwörd-ключ",
  QUOTED: `a"b\\c'd\te`,
  KEY: "-----BEGIN KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASCB\n-----END KEY-----\n",
};

/** What a program may print of a value, by means that have nothing to do with ours. */
function spellings(value: string): readonly string[] {
  const bytes = Buffer.from(value);
  const shifted = (before: string): string => Buffer.concat([Buffer.from(before), bytes]).toString("base64");
  return [
    value,
    ...value.split("\n").filter((line) => line.length >= 4),
    JSON.stringify(value).slice(1, -1),
    encodeURIComponent(value),
    bytes.toString("hex"),
    bytes.toString("hex").toUpperCase(),
    bytes.toString("base64url"),
    ...["", "x", "yz"].map(shifted),
  ];
}

/** The part of a spelling that nothing but the value decides: what may not be in a log. */
function cores(value: string): readonly string[] {
  const bytes = Buffer.from(value);
  const inner = ["", "x", "yz"].map((before, shift) =>
    Buffer.concat([Buffer.from(before), bytes])
      .toString("base64")
      .replace(/=+$/, "")
      .slice([0, 2, 3][shift], Math.floor(((shift + bytes.length) * 8) / 6)),
  );
  return [...new Set([...spellings(value).slice(0, -3), ...inner])].filter((one) => one.length >= 4);
}

/** Prints each text in two writes, split at every byte, one after the other, with a pause between the two. */
const splitEverywhere = `
import json, os, time
for text in json.load(open("texts.json")):
    data = text.encode()
    for at in range(1, len(data)):
        os.write(1, data[:at])
        time.sleep(0.001)
        os.write(1, data[at:] + b" |\\n")
`;

test("no spelling of a secret reaches the log, wherever it is split in two", async () => {
  const bench = await createBench();
  const texts = Object.values(values).flatMap(spellings);
  writeFileSync(join(bench.root, "texts.json"), JSON.stringify(texts));
  const running = await python(bench, splitEverywhere, values);
  expect(await running.exited).toEqual({ kind: "exited", code: 0 });
  const log = text(running.logFile);
  const bytes = texts.map((one) => Buffer.byteLength(one) - 1);
  expect(log.match(/ \|\n/g)).toHaveLength(bytes.reduce((sum, one) => sum + one));
  for (const core of Object.values(values).flatMap(cores)) expect(log).not.toContain(core);

  const control = await python(bench, splitEverywhere, {}, { env: { PATH: path, ...values } });
  await control.exited;
  const leaked = text(control.logFile);
  for (const core of Object.values(values).flatMap(cores)) expect(leaked).toContain(core);
}, 60_000);

/** Each value with its spellings, as core/mask.ts looks for them too. */
const fixture = fileURLToPath(new URL("../../../fixtures/mask-forms.json", import.meta.url));

/** What a Python program prints that uses the masker's own functions, as JSON. */
async function withMasker(program: string): Promise<unknown> {
  const top = `
import json, os, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))
sys.dont_write_bytecode = True
from mask_log import CHUNK, Masker, forms_of
cases = json.load(open(sys.argv[2]))
`;
  const { stdout, stderr } = await runCommand("python3", ["-c", top + program, masker, fixture], {
    env: { PATH: process.env.PATH ?? path },
  });
  expect(stderr).toBe("");
  return JSON.parse(stdout);
}

test("the log's masker and the one for messages look for the same spellings", async () => {
  const cases = JSON.parse(readFileSync(fixture, "utf8")) as { value: string; forms: string[] }[];
  const found = (await withMasker(
    "print(json.dumps([[form.decode() for form in forms_of([case['value'].encode()])] for case in cases]))",
  )) as string[][];
  expect(found.map((forms) => forms.sort())).toEqual(cases.map(({ forms }) => forms.sort()));
});

test("each of these spellings is masked whole, wherever it is split in two, and in single bytes", async () => {
  const failures = await withMasker(`
every = forms_of(case["value"].encode() for case in cases)
def masked(pieces):
    masker = Masker(every)
    return b"".join([masker.feed(piece) for piece in pieces] + [masker.end()])
failures = []
for case in cases:
    for form in (form.encode() for form in case["forms"]):
        splits = [[b"( " + form[:at], form[at:] + b" )"] for at in range(len(form) + 1)]
        splits.append([b"( "] + [bytes([byte]) for byte in form] + [b" )"])
        failures += [str(split) for split in splits if masked(split) != b"( *** )"]
print(json.dumps(failures))
`);
  expect(failures).toEqual([]);
});

test("secrets that lie across each other are masked as one", async () => {
  const bench = await createBench();
  const running = await bench.script(
    'printf "xabcdefghy abcdab aaaaaaaaab."',
    masked({ A: "abcdef", B: "efgh", C: "aaaa" }),
  );
  await running.exited;
  expect(text(running.logFile)).toBe("x***y abcdab ***b.");
});

test("what is too short for a secret is left in the log", async () => {
  const bench = await createBench();
  const line = "a 12 abc: the log goes on";
  const running = await bench.script(`echo '${line}'`, masked({ A: "a", B: "12", C: "abc", D: "" }));
  await running.exited;
  expect(text(running.logFile)).toBe(`${line}\n`);
});

test("a prompt and a bar of progress are in the log at once, and so is all before what may be a secret", async () => {
  const bench = await createBench();
  const running = await bench.script(
    "printf 'name: '; sleep 0.3; printf '50 %%\\r'; printf hunt; sleep 300",
    masked({ A: token }),
  );
  await until(() => text(running.logFile) === "name: ");
  await until(() => text(running.logFile) === "name: 50 %\r");
  await running.stop({ graceMs: 5_000 });
  expect(text(running.logFile)).toBe("name: 50 %\rhunt");
});

test("bytes of any kind pass through unchanged", async () => {
  const bench = await createBench();
  const program = "import os\nfor i in range(64): os.write(1, bytes((i * k) % 256 for k in range(4096)))";
  const [one, other] = await Promise.all([python(bench, program, values), python(bench, program, {})]);
  await Promise.all([one.exited, other.exited]);
  expect(readFileSync(one.logFile).equals(readFileSync(other.logFile))).toBe(true);
  expect(statSync(one.logFile).size).toBe(64 * 4096);
});

test.each([
  ["exit 0", { kind: "exited", code: 0 }],
  ["exit 137", { kind: "exited", code: 137 }],
  ["kill -KILL $$", { kind: "signalled", signal: "SIGKILL" }],
  ["kill -SEGV $$", { kind: "signalled", signal: "SIGSEGV" }],
  ["kill -INT $$", { kind: "signalled", signal: "SIGINT" }],
])(
  "how a program with secrets ended is told as ever, with all it wrote in the log: %s",
  async (ending, exit) => {
    const bench = await createBench();
    const running = await bench.script(`seq 1 20000; echo "$A"; ${ending}`, masked({ A: token }));
    expect(await running.exited).toEqual(exit);
    expect(text(running.logFile).endsWith("\n20000\n***\n")).toBe(true);
  },
);

test("the end is told when the log is whole, however far behind the masker is", async () => {
  const bench = await createBench();
  const slow = join(temporaryFolder(), "slow.py");
  writeFileSync(
    slow,
    `import runpy, time\ntime.sleep(0.5)\nrunpy.run_path("${masker}", run_name="__main__")\n`,
  );
  const running = await bench.script("seq 1 5000; exit 6", {
    secrets: { values: { A: token }, python: "python3", masker: slow },
  });
  await until(() => text(join(running.logFile, "..", "exit")));
  expect(text(running.logFile).endsWith("\n5000\n")).toBe(true);
  expect(await running.exited).toEqual({ kind: "exited", code: 6 });
});

test("a program with secrets that takes too much memory is out of memory, and the masker is not in its group", async (context) => {
  const bench = await createBench();
  context.skip(!bench.processes.memoryLimitEnforced, "no memory cgroup may be written on this machine");
  const program = "import os\nprint(os.environ['A'], flush=True)\nbytearray(300 << 20)";
  const running = await python(bench, program, { A: token }, { memoryLimitMb: 64 });
  expect(await running.exited).toEqual({ kind: "out-of-memory", limitMb: 64 });
  expect(text(running.logFile)).toContain("***");
});

test("a daemon that holds the output open does not hold up the end, and is ended", async () => {
  const bench = await createBench();
  const running = await bench.script(
    "setsid sh -c 'echo $$ >daemon; while :; do echo $A; done' & sleep 0.2; echo the end; exit 3",
    masked({ A: token }),
  );
  const begun = performance.now();
  expect(await running.exited).toEqual({ kind: "exited", code: 3 });
  expect(performance.now() - begun).toBeLessThan(8_000);
  expect(text(running.logFile)).toContain("the end\n");
  expect(text(running.logFile)).not.toContain("hunter2");
  expect(runs(Number(text(join(bench.root, "daemon"))))).toBe(false);
  await until(() => maskersOf(running).keeper === 0);
});

test("a program is asked to end, and what it says to that is masked and in the log", async () => {
  const bench = await createBench();
  const running = await bench.script(
    "trap 'sleep 0.3; echo \"bye $A\"; exit 5' TERM; echo ready; while :; do sleep 0.1; done",
    masked({ A: token }),
  );
  await until(() => text(running.logFile) === "ready\n");
  expect(await running.stop({ graceMs: 8_000 })).toEqual({ kind: "exited", code: 5 });
  expect(text(running.logFile)).toMatch(/bye \*\*\*\n$/);
});

test("a stop is not missed, however soon after the start of a program with secrets it comes", async () => {
  const bench = await createBench();
  for (let round = 0; round < 20; round++) {
    const running = await bench.script("echo $$ >pid; exec sleep 300", masked({ A: token }));
    await sleep(round);
    const exit = await running.stop({ graceMs: 20_000 });
    expect(["exited", "signalled"]).toContain(exit.kind);
    await until(() => processesBelow(join(running.logFile, "..")).length === 0);
  }
}, 30_000);

test("the masker is none of the program's processes", async () => {
  const bench = await createBench();
  const running = await python(bench, "import time\nprint('up', flush=True)\ntime.sleep(300)", { A: token });
  await until(() => text(running.logFile));
  const { masker: pid, keeper } = maskersOf(running);
  expect([pid > 0, keeper > 0]).toEqual([true, true]);
  expect(running.pids()).toEqual([running.identity.pid]);
  expect(text(`/proc/${running.identity.pid}/cmdline`)).toContain("time.sleep");
  await running.stop({ graceMs: 2_000 });
});

test("when the masker is killed another goes on, the log says so, and the program notices nothing", async () => {
  const bench = await createBench();
  const program = `
import os, time
for i in range(400):
    print(i, os.environ["A"], "." * 200, flush=True)
    time.sleep(0.005)
`;
  const running = await python(bench, program, { A: token });
  let kills = 0;
  for (; kills < 5; kills++) {
    const { masker: pid } = await whenMasking(running);
    process.kill(pid, "SIGKILL");
    await until(() => !runs(pid));
  }
  expect(await running.exited).toEqual({ kind: "exited", code: 0 });
  const log = text(running.logFile);
  expect(log.split(lost)).toHaveLength(kills + 1);
  expect(log).toContain("399 ***");
  expect(log.match(/\*\*\*/g)?.length).toBeGreaterThan(300);
  expect(log).not.toMatch(/hunter|\/\+&/);
}, 30_000);

test("the rest of a secret whose beginning went with a killed masker is not in the log either", async () => {
  const bench = await createBench();
  const running = await bench.script(
    'printf "%s" "hunter2-"; until [ -e killed ]; do sleep 0.05; done; echo "hunter3/+&?x and more"; echo next',
    masked({ A: token }),
  );
  const { masker: pid } = await whenMasking(running);
  process.kill(pid, "SIGKILL");
  writeFileSync(join(bench.root, "killed"), "");
  await running.exited;
  expect(text(running.logFile)).toBe(`\n${lost}\nnext\n`);
});

test("a program whose secrets cannot be masked goes on, with nothing more in its log", async () => {
  const bench = await createBench();
  const broken = join(temporaryFolder(), "broken.py");
  writeFileSync(broken, "raise SystemExit(1)\n");
  const running = await bench.script(`seq 1 200000; echo "$A"; exit 4`, {
    secrets: { values: { A: token }, python: "python3", masker: broken },
  });
  expect(await running.exited).toEqual({ kind: "exited", code: 4 });
  expect(text(running.logFile)).toBe("\n[bodywork: the log ends here: the secrets in it cannot be masked]\n");
});

test("when shim and program are killed the masker ends too", async () => {
  const bench = await createBench();
  const running = await bench.script('echo "$A"; sleep 300', masked({ A: token }));
  await until(() => text(running.logFile));
  const { masker: pid, keeper } = maskersOf(running);
  const shim = Number(text(`/proc/${running.identity.pid}/stat`).match(/\) \w (\d+)/)?.[1]);
  process.kill(shim, "SIGKILL");
  expect(await running.exited).toEqual({ kind: "lost" });
  await until(() => !runs(pid) && !runs(keeper));
});

test("a flood from a program with secrets stays near the cap, and its masker stays small", async () => {
  const cap = 1024 * 1024;
  const bench = await createBench({ logCapBytes: cap });
  const running = await bench.script(
    "yes 'a line of the flood' | head -c 200000000; yes aaaaaaaaa | head -c 1000000",
    masked({ ...values, A: "aaaaaaaa" }),
  );
  let highest = 0;
  const watching = setInterval(() => {
    const { masker: pid } = maskersOf(running);
    highest = Math.max(highest, Number(text(`/proc/${pid}/status`).match(/VmHWM:\s+(\d+)/)?.[1] ?? 0));
  }, 50);
  expect(await running.exited).toEqual({ kind: "exited", code: 0 });
  clearInterval(watching);
  expect(highest).toBeGreaterThan(1024);
  expect(highest).toBeLessThan(48 * 1024);
  expect(statSync(running.logFile).size).toBeLessThanOrEqual(cap);
}, 60_000);

test("with five secrets more than 50 MB are masked in a second of the processor's time", async () => {
  const speed = await withMasker(`
import random, time
random.seed(7)
secrets = ["%012x/Pass w'rd&%06x" % (random.getrandbits(48), random.getrandbits(24)) for _ in range(5)]
masker = Masker(forms_of(secret.encode() for secret in secrets))
line = "2026-11-25 08:12:%02d INFO epoch %d loss=%.6f accuracy=%.6f batch=%016x /data/train/part-%05d.parquet\\n"
lines = (line % (i % 60, i, random.random(), random.random(), random.getrandbits(64), i) for i in range(200000))
data = "".join(lines).encode()
chunks = [data[at:at + CHUNK] for at in range(0, len(data), CHUNK)]
begun = time.process_time()
size = sum(len(masker.feed(chunk)) for _ in range(3) for chunk in chunks)
print(size / 1e6 / (time.process_time() - begun))
`);
  process.stdout.write(`masking with five secrets: ${Number(speed).toFixed(0)} MB/s\n`);
  expect(speed).toBeGreaterThan(50);
});
