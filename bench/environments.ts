import { rmSync } from "node:fs";
import { join } from "node:path";
import { startupPth } from "../src/engines/local/name-hook/name-hook.ts";
import { createUvEnvironments } from "../src/environments/uv-environments.ts";
import type { BenchRow } from "./row.ts";
import { type BenchTool, benchTool, inTurn } from "./tool.ts";

const requirements = ["scikit-learn==1.7.2", "flask==3.1.2"];

/** Building an environment against plain uv, with uv's cache empty and full; and finding one that is there. */
export async function run(): Promise<readonly BenchRow[]> {
  const tool = benchTool();
  try {
    const plain = (cache: string) => async (): Promise<void> => {
      const env = ["--cache-dir", join(tool.folder, cache), "--quiet"];
      await tool.program("uv", ["venv", ...env, "--clear", "--python", "python3", "plain"]);
      await tool.program("uv", ["pip", "install", ...env, "--python", "plain/bin/python", ...requirements]);
    };
    let turn = 0;
    const ours = (cache: string) => async (): Promise<void> => {
      turn += 1; // The last one's bytecode may still be compiled.
      await environmentsOf(tool, `environments-${turn}`, cache).prepare(request);
    };
    const cold =
      (cache: string, build: (cache: string) => () => Promise<void>) => async (): Promise<void> => {
        rmSync(join(tool.folder, cache), { recursive: true, force: true });
        await build(cache)();
      };
    const [coldPlain = 1, coldOurs = 0] = await inTurn(3, [cold("a", plain), cold("b", ours)]);
    const [warmPlain = 1, warmOurs = 0] = await inTurn(5, [plain("a"), ours("b")]);
    const environments = environmentsOf(tool, `environments-${turn}`, "b");
    await environments.prepare(request);
    const [found = 0] = await inTurn(20, [async () => environments.find(request)]);
    return [
      {
        name: "an environment with uv's cache empty, to plain uv",
        value: coldOurs / coldPlain,
        unit: "ratio",
        goal: "≤ 1.2",
        note: `${Math.round(coldOurs)} ms to ${Math.round(coldPlain)} ms: ${requirements.join(", ")}`,
      },
      {
        name: "an environment with uv's cache full, to plain uv",
        value: warmOurs / warmPlain,
        unit: "ratio",
        goal: "≤ 1.2",
        note: `${Math.round(warmOurs)} ms to ${Math.round(warmPlain)} ms`,
      },
      {
        name: "an environment that is there",
        value: found,
        unit: "ms",
        goal: "≤ 5",
        note: "no process started",
      },
    ];
  } finally {
    await tool.remove();
  }
}

const request = { requirements, requirementsFile: undefined, python: undefined, notebook: false };

function environmentsOf(tool: BenchTool, folder: string, cache: string) {
  return createUvEnvironments({
    folder: join(tool.folder, folder),
    toolsFolder: join(tool.folder, "tools"),
    environment: { ...tool.env, UV_CACHE_DIR: join(tool.folder, cache) },
    startupPth,
  });
}
