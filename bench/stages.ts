import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectFile } from "../tests/support/pipelines.ts";
import type { BenchRow } from "./row.ts";
import { benchTool, inTurn } from "./tool.ts";

/**
 * What a stage costs more than in a shell loop: chains of 1 and 20 trivial stages, each a file of its own, and 100 that
 * run one file, two at a time. The loop runs the same files with the Python of a plain virtual environment.
 */
export async function run(): Promise<readonly BenchRow[]> {
  const tool = benchTool();
  try {
    writeFileSync(join(tool.home, "settings.yaml"), "max_parallel_stages: 2\n");
    const one = await chain(tool, "one", 1, " >> ");
    const twenty = await chain(tool, "twenty", 20, " >> ");
    const hundred = await chain(tool, "hundred", 100, ", ");
    await tool.program("python3", ["-m", "venv", "--without-pip", "plain"]);
    const python = join(tool.folder, "plain", "bin", "python");
    const loop = (name: string) => () =>
      tool.program("sh", ["-c", `set -e; for file in ${name}/s*.py; do ${python} "$file"; done`]);
    const xargs = () => tool.program("sh", ["-c", `seq 100 | xargs -n 1 -P 2 ${python} hundred/s.py`]);
    const deploy = (url: string) => () => tool.bodywork("create", "deployment", url);
    for (const url of [one, twenty, hundred]) await deploy(url)(); // Server, environment and mirrors are there after it.

    const [oneTime = 0, oneLoop = 0, twentyTime = 0, twentyLoop = 0, hundredTime = 0, hundredLoop = 0] =
      await inTurn(5, [deploy(one), loop("one"), deploy(twenty), loop("twenty"), deploy(hundred), xargs]);
    const further = (twentyTime - oneTime - (twentyLoop - oneLoop)) / 19;
    return [
      {
        name: "each further stage of a chain, over the shell loop",
        value: further,
        unit: "ms",
        goal: "≤ 10",
        note: `20 stages ${Math.round(twentyTime)} ms, the loop ${Math.round(twentyLoop)} ms`,
      },
      {
        name: "everything around the stages of a chain, over the shell loop",
        value: oneTime - oneLoop - further,
        unit: "ms",
        goal: "≤ 250",
        note: `1 stage ${Math.round(oneTime)} ms, the loop ${Math.round(oneLoop)} ms`,
      },
      {
        name: "100 stages two at a time, less 250 ms, to xargs -P2",
        value: (hundredTime - 250) / hundredLoop,
        unit: "ratio",
        goal: "≤ 1.6",
        note: `100 stages ${Math.round(hundredTime)} ms, xargs ${Math.round(hundredLoop)} ms`,
      },
    ];
  } finally {
    await tool.remove();
  }
}

async function chain(
  tool: ReturnType<typeof benchTool>,
  name: string,
  count: number,
  between: string,
): Promise<string> {
  const stages = Array.from({ length: count }, (_, index) => `s${String(index).padStart(3, "0")}`);
  const module = (stage: string): string => (name === "hundred" ? "s.py" : `${stage}.py`);
  const text = projectFile({
    name,
    dag: stages.join(between),
    stages: Object.fromEntries(
      stages.map((stage) => [
        stage,
        [`executable_module_path: ${module(stage)}`, "batch: {max_completion_time_seconds: 60, retries: 0}"],
      ]),
    ),
  });
  const modules = Object.fromEntries(stages.map((stage) => [module(stage), "pass\n"]));
  return tool.project(name, { "bodywork.yaml": text, ...modules });
}
