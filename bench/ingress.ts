import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { controlPath, type IngressProgram } from "../src/engines/local/ingress/control.ts";
import { createIngress, ingressFlags } from "../src/engines/local/ingress/ingress.ts";
import { readStateFile } from "../src/engines/local/ingress/ingress-state.ts";
import { runCommand } from "../src/lib/run-command.ts";
import { spawnDetached } from "../src/lib/spawn-detached.ts";
import type { BenchRow } from "./row.ts";
import { installed, median } from "./tool.ts";

interface Place {
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

interface Load {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
}

const upstream: Place = { host: "127.71.200.1", port: 5000, path: "/" };
const version = "bench";

/** Requests through the ingress to a bare Node server, against the same without it, and through HAProxy and Caddy. */
export async function run(): Promise<readonly BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), "bench-ingress-"));
  const ingress = createIngress({ folder, version, listen: { host: "127.71.200.3", port: 8080 } });
  const children: ChildProcess[] = [];
  try {
    children.push(await startUpstream());
    await startInstalled(folder);
    await ingress.apply([
      {
        namespace: "bench",
        stage: "serve",
        rawStage: "serve",
        release: "1",
        ingress: true,
        address: { host: "127.71.200.4", port: 5000 },
        targets: [upstream],
      },
    ]);
    const { hostname, port } = new URL(ingress.publicUrl() as string);
    const ours: Place = { host: hostname, port: Number(port), path: "/bench/serve/" };
    const idleMemory = memoryOf(folder);
    const others: Peer[] = [];
    for (const peer of peers()) {
      const child = await startPeer(peer, folder);
      if (child === undefined) continue;
      children.push(child);
      others.push(peer);
    }
    const places = [upstream, ours, ...others.map(({ place }) => place)];
    const full = await loads(3, places, { connections: 50, milliseconds: 2_000, rate: 0 });
    const calm = await loads(3, [upstream, ours], { connections: 20, milliseconds: 2_000, rate: 1_000 });
    return [...throughput(full, others), ...latency(calm), ...memory(idleMemory, memoryOf(folder))];
  } finally {
    await ingress.stop();
    for (const child of children) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

function throughput(
  [direct = [], ours = [], ...theirs]: readonly (readonly Load[])[],
  others: readonly Peer[],
): readonly BenchRow[] {
  const rate = (found: readonly Load[]): number => median(found.map((load) => load.rate));
  const ratio = (of: readonly Load[], to: readonly Load[]): number =>
    median(of.map((load, round) => load.rate / (to[round] as Load).rate));
  const each = (found: readonly Load[]): string => `${Math.round(rate(found))}/s`;
  return [
    {
      name: "requests through the ingress, 50 connections, to direct ones",
      value: ratio(ours, direct),
      unit: "ratio",
      note: `${each(ours)} to ${each(direct)}; client, server and ingress share the cores`,
    },
    ...theirs.map((found, index): BenchRow => {
      const { name, goal } = others[index] as Peer;
      return {
        name: `requests through the ingress, 50 connections, to those through ${name}`,
        value: ratio(ours, found),
        unit: "ratio",
        goal,
        note: `${each(ours)} to ${each(found)}`,
      };
    }),
  ];
}

function latency([direct = [], ours = []]: readonly (readonly Load[])[]): readonly BenchRow[] {
  const added = (what: "p50" | "p99"): number =>
    median(ours.map((load, round) => load[what] - (direct[round] as Load)[what]));
  return [
    {
      name: "time that the ingress adds at 1,000 requests a second, 99th percentile",
      value: added("p99"),
      unit: "ms",
      goal: "≤ 1.5",
      note: `median ${added("p50").toFixed(2)} ms`,
    },
  ];
}

interface Memory {
  readonly ingress: number;
  readonly holder: number;
}

function memory(idle: Memory, after: Memory): readonly BenchRow[] {
  const note = "of it about 40 MB are Node's own program, shared by all its processes";
  return [
    { name: "memory of the idle ingress", value: idle.ingress, unit: "MB", note },
    { name: "memory of the holder of its sockets", value: idle.holder, unit: "MB", note },
    { name: "memory of the ingress after the load", value: after.ingress, unit: "MB" },
  ];
}

function memoryOf(folder: string): Memory {
  const state = readStateFile(folder);
  const resident = (pid: number | undefined): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
  return { ingress: resident(state?.ingress), holder: resident(state?.holder) };
}

/** Each place in turn, so that a busy moment of the machine meets them all; by place, then by round. */
async function loads(
  rounds: number,
  places: readonly Place[],
  load: { readonly connections: number; readonly milliseconds: number; readonly rate: number },
): Promise<readonly (readonly Load[])[]> {
  const found: Load[][] = places.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, { host, port, path }] of places.entries()) {
      const program = join(import.meta.dirname, "http-load.ts");
      const { connections, milliseconds, rate } = load;
      const args = [host, port, path, connections, milliseconds, rate].map(String);
      const { stdout, stderr, exitCode } = await runCommand(process.execPath, [program, ...args], {
        env: {},
      });
      if (exitCode !== 0) throw new Error(`The load on ${host}:${port} failed: ${stderr}`);
      found[index]?.push(JSON.parse(stdout) as Load);
    }
  }
  return found;
}

/** The compiled programs, as the package has them; `createIngress` finds them running and takes them up. */
async function startInstalled(folder: string): Promise<void> {
  const program: IngressProgram = {
    node: process.execPath,
    flags: ingressFlags,
    module: join(dirname(installed), "..", "dist", "ingress-process.js"),
    args: [folder, controlPath(folder), version],
  };
  const holder = join(dirname(program.module), "ingress-holder.js");
  await spawnDetached({
    file: process.execPath,
    args: [holder, folder, JSON.stringify(program)],
    env: {},
    cwd: folder,
    logFile: join(folder, "ingress.log"),
  });
  for (let waited = 0; readStateFile(folder) === undefined; waited += 20) {
    if (waited > 10_000) throw new Error("The compiled ingress does not start.");
    await sleep(20);
  }
}

async function startUpstream(): Promise<ChildProcess> {
  const program = `require("node:http")
    .createServer((request, response) => response.setHeader("Content-Type", "application/json").end('{"y":"hello"}'))
    .listen(${upstream.port}, "${upstream.host}", () => process.send("listening"));`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  await once(child, "message");
  return child;
}

/** A proxy that users may have instead; it does what the ingress does with this one path. */
interface Peer {
  readonly name: string;
  readonly place: Place;
  /** The ingress' requests a second to this one's. */
  readonly goal: `≥ ${number}`;
  readonly configuration: string;
  /** Program and arguments, to be followed by the path of the configuration. */
  readonly command: readonly [string, ...string[]];
}

function peers(): readonly Peer[] {
  const path = "/bench/serve/";
  const haproxy = { host: "127.71.200.2", port: 8080, path };
  const caddy = { host: "127.71.200.5", port: 8080, path };
  const target = `${upstream.host}:${upstream.port}`;
  return [
    {
      name: "HAProxy",
      place: haproxy,
      goal: "≥ 0.6",
      command: ["haproxy", "-f"],
      // One thread, as the ingress has.
      configuration: `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
frontend front
  bind ${haproxy.host}:${haproxy.port}
  http-request replace-path /bench/serve(/.*) \\1
  default_backend back
backend back
  server one ${target}
`,
    },
    {
      name: "Caddy",
      place: caddy,
      goal: "≥ 1.3",
      command: ["caddy", "run", "--adapter", "caddyfile", "--config"],
      configuration: `{
  admin off
  auto_https off
}
http://:${caddy.port} {
  bind ${caddy.host}
  handle_path /bench/serve/* {
    reverse_proxy ${target}
  }
}
`,
    },
  ];
}

/** Undefined when it is not installed. */
async function startPeer(peer: Peer, folder: string): Promise<ChildProcess | undefined> {
  const file = join(folder, peer.name);
  writeFileSync(file, peer.configuration);
  const [program, ...args] = peer.command;
  const child = spawn(program, [...args, file], {
    stdio: "ignore",
    env: { PATH: process.env.PATH, HOME: folder },
  });
  const started = await Promise.race([
    once(child, "spawn").then(() => true),
    once(child, "error").then(() => false),
  ]);
  if (!started) {
    process.stderr.write(`${peer.name} is skipped: it is not installed (apt-get install ${program}).\n`);
    return undefined;
  }
  await sleep(1_000);
  return child;
}
