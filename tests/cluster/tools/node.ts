import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { platform } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { buildBinaries } from "./build-binaries.ts";
import { makeControlGroups, removeControlGroups } from "./control-groups.ts";
import { imageNames, makeController, makeImages } from "./images.ts";
import { addresses, forwards, freeSlot, type Link, linkName, makeLink, removeLink } from "./link.ts";
import { installPackages } from "./packages.ts";
import type { Places } from "./places.ts";
import { ClusterProblem, run } from "./run.ts";

type Tell = (line: string) => void;

/** What tests are told: `BODYWORK_TEST_…` variables. */
export type ClusterVariables = Readonly<Record<string, string>>;

/** Starts the cluster, unless it runs; ready when it returns. What it needs is installed, built and made before. */
export async function up(places: Places, tell: Tell): Promise<ClusterVariables> {
  requireMachine(platform(), process.getuid?.());
  if (isAlive(places)) return variablesOf(places);
  await down(places);
  installPackages(tell);
  buildBinaries(places, tell);
  const archives = await makeImages(places.images, tell);
  tell("starting");
  await start(places, archives);
  return variablesOf(places);
}

/** For cronjobs and deployments in the background: the image that their controllers run. */
export function addTool(places: Places, tell: Tell): void {
  const { pid } = livingRecord(places);
  tell("making the image of the tool");
  const archive = makeController();
  const inside = ["--target", String(pid), "--mount"];
  const ctr = ["ctr", "--namespace", "k8s.io", "images", "import", "-"];
  run("nsenter", [...inside, ...ctr], { input: archive });
}

/** Stops it and takes this machine's side of it away. What it holds stays, for the next `up`. */
export async function down(places: Places): Promise<void> {
  const record = readRecord(places);
  if (record === undefined) return;
  await end(places, record);
  removeLink(record);
  await removeControlGroups(linkName(record.slot));
  rmSync(recordFile(places), { force: true });
}

export async function wipe(places: Places): Promise<void> {
  await down(places);
  rmSync(places.state, { recursive: true, force: true });
}

/** Throws for a machine that can't be a node. */
export function requireMachine(system: string, user: number | undefined): void {
  const instead = "Or name a cluster that you have by BODYWORK_TEST_KUBECONFIG.";
  if (system !== "linux") {
    throw new ClusterProblem(
      `the cluster of the tests runs on Linux only, and this is ${system}. ${instead}`,
    );
  }
  if (user !== 0) {
    throw new ClusterProblem(`the cluster of the tests needs root, for namespaces and networks. ${instead}`);
  }
}

/** What this machine has of a cluster that runs. */
interface ClusterRecord extends Link {
  /** Of process 1 of the node's namespaces, as this machine numbers it. */
  readonly pid: number;
  /** When that process started, in the kernel's ticks: its number may be another's by now. */
  readonly started: string;
  readonly ingressPort: number;
}

async function start(places: Places, archives: readonly string[]): Promise<void> {
  mkdirSync(join(places.state), { recursive: true, mode: 0o700 });
  rmSync(join(places.state, "ready"), { force: true });
  writeFileSync(join(places.state, "resolv.conf"), nameServers());
  const slot = freeSlot();
  const ingressPort = await freePort();
  makeControlGroups(linkName(slot));
  const log = openSync(join(places.state, "node.log"), "w");
  const network = openSync("/proc/self/ns/net", "r");
  const child = spawn(
    "unshare",
    [
      ...["--pid", "--mount", "--net", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"],
      ...["bash", join(import.meta.dirname, "node.sh")],
    ],
    {
      detached: true,
      stdio: ["ignore", log, log, network],
      env: {
        PATH: process.env.PATH ?? "",
        ...{ STATE: places.state, BIN: places.bin, CRDS: places.crds, ARCHIVES: archives.join(" ") },
        ...{ HOST_ADDRESS: addresses(slot).host, NODE_ADDRESS: addresses(slot).node },
        ...{ PODS: addresses(slot).pods, SERVICES: addresses(slot).services },
        ...{ FIRST_SERVICE: addresses(slot).firstService, CGROUP: `/${linkName(slot)}` },
        INGRESS_PORT: String(ingressPort),
      },
    },
  );
  child.unref();
  closeSync(log);
  closeSync(network);
  const pid = await processOne(child);
  const record = { slot, pid, started: startOf(pid) ?? "", ingressPort, forwarded: forwards() };
  writeFileSync(recordFile(places), JSON.stringify(record));
  makeLink(slot, pid);
  await untilReady(places, child);
}

/** The child of `unshare`, which is the namespaces' process 1. */
async function processOne(child: ChildProcess): Promise<number> {
  for (let tries = 0; tries < 100 && child.exitCode === null; tries++) {
    const [pid] = readText(`/proc/${child.pid}/task/${child.pid}/children`).trim().split(" ");
    if (pid !== undefined && pid !== "") return Number(pid);
    await sleep(20);
  }
  throw new ClusterProblem(`this machine gives us no namespaces: unshare ended (exit ${child.exitCode})`);
}

async function untilReady(places: Places, child: ChildProcess): Promise<void> {
  const end = Date.now() + 120_000;
  while (!existsSync(join(places.state, "ready"))) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > end) {
      const said = readText(join(places.state, "node.log")).trim().split("\n").slice(-15).join("\n");
      throw new ClusterProblem(`the node did not get ready; its logs are in ${places.state}/log\n${said}`);
    }
    await sleep(100);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** A resolver on this machine's loopback address is not the node's: what it asks itself is asked instead. */
function nameServers(): string {
  const texts = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"].map(readText);
  const usable = texts.find((text) => /^nameserver (?!127\.|::1)/m.test(text));
  if (usable === undefined) {
    throw new ClusterProblem(
      "/etc/resolv.conf names no server that pods could ask: only this machine itself",
    );
  }
  return usable;
}

/** With process 1 of a namespace, the kernel ends all the others. */
async function end(places: Places, record: ClusterRecord): Promise<void> {
  if (!isAlive(places)) return;
  process.kill(record.pid, "SIGKILL");
  while (isAlive(places)) await sleep(20);
}

function isAlive(places: Places): boolean {
  const record = readRecord(places);
  return record !== undefined && startOf(record.pid) === record.started;
}

/** Field 22 of its stat, counted after the name, which may hold anything; undefined when it is gone. */
function startOf(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return stat === "" || fields[0] === "Z" ? undefined : fields[19];
}

function recordFile(places: Places): string {
  return join(places.state, "cluster.json");
}

function readRecord(places: Places): ClusterRecord | undefined {
  const text = readText(recordFile(places));
  return text === "" ? undefined : (JSON.parse(text) as ClusterRecord);
}

function livingRecord(places: Places): ClusterRecord {
  const record = readRecord(places);
  if (record !== undefined && isAlive(places)) return record;
  throw new ClusterProblem("it does not run; start it with: node tests/cluster/tools/cluster.ts up");
}

export function variablesOf(places: Places): ClusterVariables {
  const record = livingRecord(places);
  return {
    BODYWORK_TEST_KUBECONFIG: join(places.state, "admin.kubeconfig"),
    BODYWORK_TEST_ADDRESS: addresses(record.slot).host,
    BODYWORK_TEST_IMAGE: imageNames.stage,
    BODYWORK_TEST_CONTROLLER_IMAGE: imageNames.controller,
    BODYWORK_TEST_INGRESS_URL: `http://127.0.0.1:${record.ingressPort}`,
    BODYWORK_TEST_KUBECTL: join(places.bin, "kubectl"),
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
