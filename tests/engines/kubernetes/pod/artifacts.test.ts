import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { createArtifactStore } from "../../../../src/artifacts/artifact-store.ts";
import type { StageOutput } from "../../../../src/core/run-state.ts";
import { inputVariable, outputVariable } from "../../../../src/core/stage-variables.ts";
import { failureOf } from "../../../git/support/source.ts";
import { createRandom, type Random } from "../../../support/random.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { archiveOf, makePod, type Pod } from "./support.ts";

const claim = { kind: "claim" } as const;

function localStore() {
  return createArtifactStore({ folder: join(temporaryFolder("local"), "artifacts") });
}

async function outputsOf(pod: Pod, outputs: Readonly<Record<string, string>>, module = "main.py") {
  const result = await pod.run({ specification: { outputs, storage: claim, module } });
  return { ...result, outputs: result.report?.outputs as readonly StageOutput[] };
}

test("outputs have the digests that the local engine gives them, whatever is in them", async () => {
  for (const seed of [1, 2, 3]) {
    const random = createRandom(seed);
    const made = temporaryFolder("trees");
    const names = Array.from({ length: 6 }, (_, index) => `tree-${index}`);
    for (const name of names) randomTree(join(made, name), random);
    const pod = await makePod({
      "main.py":
        "import os, shutil, sys\nfor name in sys.argv[2:]: shutil.copytree(sys.argv[1] + '/' + name, name, symlinks=True)\n",
    });
    const result = await pod.run({
      specification: {
        args: [made, ...names],
        outputs: Object.fromEntries(names.map((name) => [name, name])),
        storage: claim,
      },
    });
    const outputs = result.report?.outputs ?? [];
    expect(outputs, result.log).toHaveLength(names.length);
    const store = localStore();
    for (const output of outputs) {
      const local = await store.collect(pod.checkout, pod.checkout, output.path);
      expect(output).toEqual({ name: output.name, path: output.name, ...local });
      expect(local.bytes, "an empty tree shows nothing").toBeGreaterThan(0);
    }
  }
}, 60_000);

/** Files, executables, folders, empty ones, links inside, and names in no particular encoding. */
function randomTree(top: string, random: Random): void {
  const alphabet = ["a", "B", ".", "-", " ", "ü", "0", "\u{1f600}"];
  const name = (): Buffer => {
    const text = Array.from({ length: 1 + random.below(6) }, () => random.pick(alphabet)).join("");
    return Buffer.concat([Buffer.from(`n${text}`), Buffer.from(random.chance(0.1) ? [0xff, 0xe4] : [])]);
  };
  const fill = (folder: Buffer, depth: number): void => {
    mkdirSync(folder, { recursive: true });
    const names: Buffer[] = [];
    for (let count = random.below(8); count > 0; count--) {
      const own = name();
      const path = Buffer.concat([folder, Buffer.from("/"), own]);
      if (existsSync(path)) continue;
      if (random.chance(0.3) && depth < 3) fill(path, depth + 1);
      else if (random.chance(0.2) && names.length > 0) symlinkSync(random.pick(names), path);
      else writeFileSync(path, "x".repeat(random.below(3000)), { mode: random.chance(0.3) ? 0o755 : 0o640 });
      names.push(own);
    }
  };
  fill(Buffer.from(top), 0);
  writeFileSync(join(top, "large"), "x".repeat(2_500_000));
}

test("what a stage has kept in a claim is placed for the next one, of which it is told by variables", async () => {
  const first = await makePod({
    "steps/train.py": `
import os
with open(os.environ["${outputVariable("raw-model")}"], "w") as file: file.write("the model")
os.makedirs("out/deep")
open("out/deep/run.sh", "w").write("#!/bin/sh")
os.chmod("out/deep/run.sh", 0o755)
os.symlink("deep/run.sh", "out/latest")
`,
  });
  const made = await outputsOf(first, { "raw-model": "model.bin", out: "./out" }, "steps/train.py");
  expect(made.outputs.map(({ name, path, kind }) => [name, path, kind])).toEqual([
    ["raw-model", "model.bin", "file"],
    ["out", "out", "folder"],
  ]);
  const second = await makePod({
    "serve/serve.py": `
import os
print("model:", open(os.environ["${inputVariable("raw-model")}"]).read())
print("link:", os.readlink("in/out/latest"), os.access("in/out/latest", os.X_OK), os.access("model", os.X_OK))
open("model", "a").write("changed")
`,
  });
  const [model, out] = made.outputs;
  const inputs = [
    { ...(model as StageOutput), path: "model" },
    { ...(out as StageOutput), path: "in/out" },
  ];
  rmSync(second.storage, { recursive: true });
  symlinkSync(first.storage, second.storage);
  for (let time = 0; time < 2; time++) {
    const { log, exitCode } = await second.run({
      specification: { module: "serve/serve.py", inputs, storage: claim, kind: "service" },
    });
    expect(log).toContain("model: the model\n");
    expect(log).toContain("link: deep/run.sh True False\n");
    expect(exitCode).toBe(0);
  }
});

const bad: readonly (readonly [string, string, string])[] = [
  ["nothing is there", "", "missing"],
  ["the path leads outside", "open('../../outside', 'w')", "../../outside"],
  ["the path is absolute", "", "/etc/hostname"],
  ["it is a link to a place outside", "os.symlink('/etc/hostname', 'out')", "out"],
  ["it is a link that leads nowhere", "os.symlink('nowhere', 'out')", "out"],
  ["it is a pipe", "os.mkfifo('out')", "out"],
  ["a pipe is in it", "os.mkdir('out'); os.mkfifo('out/pipe')", "out"],
  ["a link in it leads outside", "os.mkdir('out'); os.symlink('/etc/hostname', 'out/link')", "out"],
  ["a link in it leads elsewhere", "os.mkdir('out'); os.symlink('../main.py', 'out/link')", "out"],
  ["a link in it leads nowhere", "os.mkdir('out'); os.symlink('nowhere', 'out/link')", "out"],
  ["it is an endless link", "os.symlink('out', 'out')", "out"],
];

test.each(bad)("a stage fails in the local engine's words when of its output %s", async (_, code, path) => {
  const pod = await makePod({ "steps/main.py": `import os\n${code}\n`, "main.py": "" });
  const { report, exitCode } = await outputsOf(pod, { model: path }, "steps/main.py");
  const failure = await failureOf(localStore().collect(pod.checkout, join(pod.checkout, "steps"), path));
  expect(report).toMatchObject({
    status: "failed",
    phase: "outputs",
    reason: `output "model" (${path}): ${failure.message}`,
  });
  expect(exitCode).toBe(1);
  expect(readdirSync(join(pod.storage, "artifacts/making"))).toEqual([]);
});

test("an output that is a link inside the repository is what it leads to", async () => {
  const pod = await makePod({ "main.py": "import os; open('a', 'w').write('1'); os.symlink('a', 'out')" });
  const { outputs } = await outputsOf(pod, { out: "out" });
  expect(outputs[0]).toMatchObject(await localStore().collect(pod.checkout, pod.checkout, "out"));
});

test("an input that is damaged or gone is refused in the local engine's words", async () => {
  const pod = await makePod({ "main.py": "open('model', 'w').write('model')" });
  const { outputs } = await outputsOf(pod, { model: "model" });
  const artifact = outputs[0] as StageOutput;
  const store = localStore();
  await store.collect(pod.checkout, pod.checkout, "model");
  const inputs = [artifact];
  const run = () => pod.run({ specification: { inputs, storage: claim } });
  const stored = storedPath(pod, artifact);
  chmodSync(stored, 0o600);
  appendFileSync(stored, "x");
  expect((await run()).report).toMatchObject({
    phase: "inputs",
    reason: `The artifact ${artifact.digest} is damaged: what is stored is not what was collected.`,
  });
  rmSync(stored);
  const missing = await failureOf(
    localStore().place({ digest: artifact.digest, kind: "file", bytes: 5 }, join(temporaryFolder(), "x")),
  );
  expect((await run()).report).toMatchObject({ phase: "inputs", reason: missing.message });
  // The stage that makes it mends it.
  await outputsOf(pod, { model: "model" });
  expect((await run()).report).toMatchObject({ status: "succeeded" });
});

test("what is damaged in the claim is replaced by the stage that makes it again", async () => {
  const pod = await makePod({ "main.py": "import os; os.mkdir('out'); open('out/a', 'w').write('1')" });
  const { outputs } = await outputsOf(pod, { out: "out" });
  const stored = storedPath(pod, outputs[0] as StageOutput);
  writeFileSync(join(stored, "more"), "");
  const inode = statSync(stored).ino;
  expect((await outputsOf(pod, { out: "out" })).report?.status).toBe("succeeded");
  expect(readdirSync(stored)).toEqual(["a"]);
  expect(statSync(stored).ino).not.toBe(inode);
  expect(readdirSync(join(pod.storage, "artifacts/making"))).toEqual([]);
});

function storedPath(pod: Pod, { digest }: StageOutput): string {
  const hex = digest.slice("sha256:".length);
  return join(pod.storage, "artifacts/sha256", hex.slice(0, 2), hex);
}

test("an input is not placed through a link that leads out of the repository", async () => {
  const pod = await makePod({ "main.py": "", elsewhere: { link: "/tmp" } });
  const input = {
    name: "a",
    path: "elsewhere/a",
    digest: `sha256:${"0".repeat(64)}`,
    kind: "file",
    bytes: 0,
  };
  const { report } = await pod.run({ specification: { inputs: [input as StageOutput], storage: claim } });
  expect(report).toMatchObject({
    phase: "inputs",
    reason: 'Cannot run stage "train": the path "elsewhere/a" leads outside the repository.',
  });
});

test("a stage with outputs does not run where there is nowhere to keep them", async () => {
  const pod = await makePod({ "main.py": "print('ran')" });
  const { log, report } = await pod.run({ specification: { outputs: { model: "model" } } });
  expect(report?.reason).toContain("kubernetes.storage");
  expect(log).not.toContain("ran\n");
});

test("more outputs than a pod can report fail the stage, and say so", async () => {
  const pod = await makePod({ "main.py": "for i in range(40): open('o%d' % i, 'w')" });
  const outputs = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`o${index}`, `o${index}`]));
  const { report } = await outputsOf(pod, outputs);
  expect(report).toMatchObject({ status: "failed", phase: "outputs" });
  expect(report?.reason).toContain("too many");
});

test("a commit in the claim is unpacked from there", async () => {
  const pod = await makePod({});
  mkdirSync(join(pod.storage, "commits"));
  writeFileSync(
    join(pod.storage, "commits/1.tar.gz"),
    await archiveOf({ "main.py": "print('from the claim')" }),
  );
  const storedSources = "commits/1.tar.gz";
  const { log } = await pod.run({ specification: { storage: claim, storedSources } });
  expect(log).toContain("from the claim\n");
  const absent = await pod.run({ specification: { storage: claim, storedSources: "commits/2.tar.gz" } });
  expect(absent.report).toMatchObject({ phase: "sources" });
  expect(absent.report?.reason).toContain("commits/2.tar.gz");
  expect(readFileSync(join(pod.storage, "commits/1.tar.gz")).length).toBeGreaterThan(0);
});
