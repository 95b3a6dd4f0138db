import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { installNameHook, nameHookVariables, startupPth } from "../src/engines/local/name-hook/name-hook.ts";
import { runCommand } from "../src/lib/run-command.ts";
import type { BenchRow } from "./row.ts";
import { benchTool, inTurn } from "./tool.ts";

/** What the start-up hook costs a Python that imports no `socket`, and one that does. */
export async function run(): Promise<readonly BenchRow[]> {
  const tool = benchTool();
  try {
    for (const name of ["bare", "hooked"])
      await tool.program("python3", ["-m", "venv", "--without-pip", name]);
    const site = (
      await tool.program("hooked/bin/python", [
        "-c",
        "import sysconfig; print(sysconfig.get_path('purelib'))",
      ])
    ).stdout.trim();
    writeFileSync(join(site, "_bodywork.pth"), startupPth);
    const variables = nameHookVariables({
      hook: installNameHook(join(tool.folder, "hook")),
      bind: [{ port: 5000, address: "127.71.0.1", addressPort: 5000 }],
      hostsFile: join(tool.folder, "hosts"),
    });
    const python = (venv: string, program: string, more: Record<string, string>) => () =>
      runCommand(join(tool.folder, venv, "bin", "python"), ["-c", program], {
        env: { ...tool.env, ...more },
      });
    const [bare = 0, hooked = 0, bareSocket = 0, hookedSocket = 0] = await inTurn(60, [
      python("bare", "pass", {}),
      python("hooked", "pass", variables),
      python("bare", "import socket", {}),
      python("hooked", "import socket", variables),
    ]);
    return [
      {
        name: "the start-up hook, to a Python that imports no socket",
        value: hooked - bare,
        unit: "ms",
        goal: "≤ 1",
        note: `of ${bare.toFixed(1)} ms`,
      },
      {
        name: "the start-up hook, to a Python that imports socket",
        value: hookedSocket - bareSocket,
        unit: "ms",
        goal: "≤ 7",
        note: `of ${bareSocket.toFixed(1)} ms`,
      },
    ];
  } finally {
    await tool.remove();
  }
}
