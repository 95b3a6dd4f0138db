import { setTimeout as sleep } from "node:timers/promises";
import type { DeploymentView } from "../src/operations/operations.ts";
import { answering, projectFile, service } from "../tests/support/pipelines.ts";
import type { BenchRow } from "./row.ts";
import { type BenchTool, benchTool, median, timed } from "./tool.ts";

/** A change of one service's source: from the command to the new answer, less what the service itself takes to start. */
export async function run(): Promise<readonly BenchRow[]> {
  const tool = benchTool();
  try {
    const commit = (answer: string): Promise<string> =>
      tool.project("redeploy", {
        "bodywork.yaml": projectFile({ name: "redeploy", dag: "serve", stages: { serve: service(5000) } }),
        "serve.py": answering(answer),
      });
    await tool.bodywork("create", "deployment", await commit("0"));
    const url = await urlOf(tool);
    const startUp = median(await repeat(5, () => startUpTime(tool)));
    const times = await repeat(7, async (turn) => {
      const project = await commit(String(turn));
      const start = performance.now();
      const deployed = tool.bodywork("create", "deployment", project);
      while ((await (await fetch(url)).text()) !== String(turn)) await sleep(2);
      const switched = performance.now() - start;
      await deployed;
      return switched;
    });
    return [
      {
        name: "redeploy of one changed service, over its own start-up",
        value: median(times) - startUp,
        unit: "ms",
        goal: "≤ 500",
        note: `switched after ${Math.round(median(times))} ms, start-up ${Math.round(startUp)} ms`,
      },
      ...(await idle(tool)),
    ];
  } finally {
    await tool.remove();
  }
}

async function urlOf(tool: BenchTool): Promise<string> {
  const { stdout } = await tool.bodywork("get", "deployments", "--output", "json");
  const [deployment] = JSON.parse(stdout) as DeploymentView[];
  return `${deployment?.services[0]?.url}/`;
}

/** The same program started by hand until it answers. */
async function startUpTime(tool: BenchTool): Promise<number> {
  const script = `python3 - <<'EOF'
import subprocess, sys, time, urllib.request
source = open("redeploy/serve.py").read().replace("0.0.0.0", "127.0.0.1").replace("5000", "45871")
start = time.perf_counter()
server = subprocess.Popen([sys.executable, "-c", source])
while True:
    try:
        urllib.request.urlopen("http://127.0.0.1:45871/").read()
        break
    except OSError:
        time.sleep(0.002)
print((time.perf_counter() - start) * 1000)
server.kill()
server.wait()
EOF`;
  return Number((await tool.program("sh", ["-c", script])).stdout);
}

/** The server when nothing happens: memory, and processor time over five seconds. */
async function idle(tool: BenchTool): Promise<readonly BenchRow[]> {
  const { stdout } = await tool.bodywork("server", "status", "--output", "json");
  const { pid } = JSON.parse(stdout) as { pid: number };
  const read = async (file: string): Promise<string> =>
    (await tool.program("cat", [`/proc/${pid}/${file}`])).stdout;
  const ticks = async (): Promise<number> => {
    const fields = (await read("stat")).split(") ")[1]?.split(" ") ?? [];
    return Number(fields[11]) + Number(fields[12]);
  };
  await sleep(2_000);
  const before = await ticks();
  const elapsed = await timed(() => sleep(10_000));
  const busy = ((await ticks()) - before) * 10; // 100 ticks a second.
  const resident = Number(/VmRSS:\s+(\d+)/.exec(await read("status"))?.[1]) / 1024;
  return [
    { name: "server when idle: memory", value: resident, unit: "MB", goal: "≤ 130" },
    { name: "server when idle: share of a core", value: (busy / elapsed) * 100, unit: "%", goal: "≤ 0.5" },
  ];
}

async function repeat<T>(times: number, action: (turn: number) => Promise<T>): Promise<readonly T[]> {
  const results: T[] = [];
  for (let turn = 1; turn <= times; turn++) results.push(await action(turn));
  return results;
}
