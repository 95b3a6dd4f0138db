import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchRow } from "./row.ts";
import { type BenchTool, benchTool, inTurn } from "./tool.ts";

const count = 20;

/**
 * The same chain of 20 trivial Python stages with tools that a user may have instead: what each stage costs there over
 * the shell loop, the tool's own start included. They are installed by uv into a throw-away environment.
 */
export async function run(): Promise<readonly BenchRow[]> {
  const tool = benchTool();
  try {
    await tool.program("uv", ["venv", "--quiet", "peers"]);
    await tool.program("uv", [
      "pip",
      "install",
      "--quiet",
      "--python",
      "peers/bin/python",
      "luigi",
      "prefect",
    ]);
    const python = join(tool.folder, "peers", "bin", "python");
    for (let index = 0; index < count; index++) writeFileSync(join(tool.folder, `s${index}.py`), "pass\n");
    writeFileSync(join(tool.folder, "Makefile"), makefile(python));
    writeFileSync(join(tool.folder, "chain_luigi.py"), luigi(python));
    writeFileSync(join(tool.folder, "chain_prefect.py"), prefect(python));
    const hasMake = await isThere(tool, "make");
    const loop = () =>
      tool.program("sh", ["-c", `set -e; for i in $(seq 0 ${count - 1}); do ${python} s$i.py; done`]);
    const [loopTime = 0, luigiTime = 0, prefectTime = 0, makeTime = 0] = await inTurn(3, [
      loop,
      () => tool.program("sh", ["-c", `rm -f done*; ${python} chain_luigi.py`]),
      () =>
        tool.program("env", [
          "PREFECT_LOGGING_LEVEL=ERROR",
          `PREFECT_HOME=${tool.folder}/prefect`,
          python,
          "chain_prefect.py",
        ]),
      ...(hasMake ? [() => tool.program("make", ["--silent", "--always-make", `s${count - 1}`])] : []),
    ]);
    const row = (name: string, time: number): BenchRow => ({
      name: `${name}: each of ${count} stages, over the shell loop`,
      value: (time - loopTime) / count,
      unit: "ms",
      note: `${Math.round(time)} ms to ${Math.round(loopTime)} ms in all`,
    });
    return [
      ...(hasMake ? [row("make", makeTime)] : []),
      row("Luigi", luigiTime),
      row("Prefect", prefectTime),
    ];
  } finally {
    await tool.remove();
  }
}

async function isThere(tool: BenchTool, program: string): Promise<boolean> {
  return tool.program(program, ["--version"]).then(
    () => true,
    () => false,
  );
}

function makefile(python: string): string {
  return Array.from(
    { length: count },
    (_, index) => `s${index}:${index === 0 ? "" : ` s${index - 1}`}\n\t${python} s${index}.py\n`,
  ).join("");
}

function luigi(python: string): string {
  return `
import subprocess, luigi

class Stage(luigi.Task):
    index = luigi.IntParameter()
    def requires(self):
        return [] if self.index == 0 else [Stage(index=self.index - 1)]
    def output(self):
        return luigi.LocalTarget(f"done{self.index}")
    def run(self):
        subprocess.run(["${python}", f"s{self.index}.py"], check=True)
        with self.output().open("w") as file:
            file.write("done")

assert luigi.build([Stage(index=${count - 1})], local_scheduler=True, log_level="ERROR")
`;
}

function prefect(python: string): string {
  return `
import subprocess
from prefect import flow, task

@task
def stage(index):
    subprocess.run(["${python}", f"s{index}.py"], check=True)

@flow
def chain():
    for index in range(${count}):
        stage(index)

chain()
`;
}
