import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectFile } from "../tests/support/pipelines.ts";
import type { BenchRow } from "./row.ts";
import { benchTool, installed, inTurn } from "./tool.ts";

/** The start of the installed command, and a very large project file. */
export async function run(): Promise<readonly BenchRow[]> {
  const tool = benchTool();
  try {
    const stages = Array.from({ length: 1000 }, (_, index) => `stage-${index}`);
    const text = projectFile({
      name: "large",
      dag: stages.join(" >> "),
      stages: Object.fromEntries(
        stages.map((stage) => [stage, ["batch: {max_completion_time_seconds: 60, retries: 0}"]]),
      ),
    });
    const file = join(tool.folder, "bodywork.yaml");
    writeFileSync(file, text);
    const [bare = 1, version = 0, validate = 0] = await inTurn(15, [
      () => tool.program(process.execPath, ["-e", "0"]),
      () => tool.program(process.execPath, [installed, "version"]),
      () => tool.bodywork("validate", "--file", file),
    ]);
    return [
      {
        name: "bodywork version, to node -e 0",
        value: version / bare,
        unit: "ratio",
        goal: "≤ 1.6",
        note: `${Math.round(version)} ms to ${Math.round(bare)} ms`,
      },
      { name: "validate of a file with 1,000 stages", value: validate, unit: "ms", goal: "≤ 1000" },
    ];
  } finally {
    await tool.remove();
  }
}
