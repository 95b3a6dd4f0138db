import { mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { EngineChoice } from "../core/choose-engine.ts";
import type {
  ClockFact,
  ClusterFact,
  DiskFact,
  DoctorFacts,
  FileFact,
  IngressFact,
  LogFact,
  Program,
  SecretsFact,
  ServerFact,
  StoreFact,
} from "../core/doctor.ts";
import { asFailure } from "../core/failure.ts";
import { jsonIfThere, whenThere } from "../lib/read-if-there.ts";
import { runCommand } from "../lib/run-command.ts";
import type { ServerControl, ServerStatus } from "./operations.ts";

export interface DoctorParts {
  /** Absolute; it need not be there. */
  readonly home: string;
  /** Where temporary files go. */
  readonly temporaryFolder: string;
  /** For the programs that are asked; `PATH` among them. */
  readonly variables: Readonly<Record<string, string>>;
  readonly version: string;
  /** Interpreters, the preferred one first. */
  readonly pythonPaths: readonly string[];
  /** Where uv may be, the preferred one first; a name without a slash is looked for on PATH. */
  readonly uvPaths: readonly string[];
  /** Where the ingress is to listen. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly server: Pick<ServerControl, "status">;
  /** URL of the server on another machine that commands go to. */
  readonly remote: string | undefined;
  /** `KUBECONFIG`, when set. */
  readonly kubeconfigVariable: string | undefined;
  /** One that can be read. */
  readonly kubeconfigFile: string | undefined;
  readonly storeFile: string;
  /** What is wrong with the store in that file; undefined when nothing is. */
  storeDamage(file: string): string | undefined;
  /** As of `DoctorFacts`. */
  readonly settings: readonly string[] | undefined;
  readonly engine: EngineChoice;
  /** Ids of the master keys that the secrets of that store are sealed with. */
  masterKeys(file: string): ReadonlySet<string>;
  /** Those of them that are not to be had. Fails: home-unsafe, secret-key. */
  missingKeys(needed: ReadonlySet<string>): Promise<readonly string[]>;
}

/** Looks at everything that `diagnose` judges. Never fails for what it finds; changes nothing. */
export async function gatherDoctorFacts(parts: DoctorParts): Promise<DoctorFacts> {
  const [git, pythons, uvs, answer, clock, cluster, logs] = await Promise.all([
    versionOf("git", parts),
    Promise.all(parts.pythonPaths.slice(0, mostPythons).map((path) => programAt(path, parts))),
    Promise.all(parts.uvPaths.map((path) => programAt(path, parts))),
    askServer(parts),
    lookAtClock(parts),
    askCluster(parts),
    measureLogs(parts.home),
  ]);
  const store = checkStore(parts);
  // Of a damaged store that is told, and no more can be known.
  const secrets = store === undefined || store.damage !== undefined ? noSecrets : await lookAtSecrets(parts);
  return {
    git,
    pythons: pythons.filter((python) => python !== undefined),
    uv: uvs.find((uv) => uv !== undefined),
    disks: measureDisks(parts),
    ingress: await lookAtIngress(answer, parts),
    files: lookAtFiles(parts),
    clock,
    settings: parts.settings,
    engine: parts.engine,
    server: serverFact(answer, parts),
    cluster,
    store,
    secrets,
    logs,
  };
}

/** Of a machine with many, the first tell enough. */
const mostPythons = 6;
/** Milliseconds that a program may take to say its version. */
const askTime = 10_000;

type Machine = Pick<DoctorParts, "variables">;

async function ask(file: string, args: readonly string[], { variables }: Machine) {
  return runCommand(file, args, { env: variables, cwd: "/", timeout: askTime, maxOutput: 65_536 });
}

/** The first number with a dot in what `--version` prints; undefined when it prints none. */
async function versionOf(file: string, machine: Machine): Promise<string | undefined> {
  const { exitCode, stdout } = await ask(file, ["--version"], machine);
  return exitCode === 0 ? /\d+\.\d+[\w.+-]*/.exec(stdout)?.[0] : undefined;
}

async function programAt(path: string, machine: Machine): Promise<Program | undefined> {
  const version = await versionOf(path, machine);
  return version === undefined ? undefined : { path, version };
}

function measureDisks({ home, temporaryFolder }: DoctorParts): readonly DiskFact[] {
  return [home, temporaryFolder].flatMap((folder) => {
    const { bsize, bavail, blocks } = statfsSync(existing(folder));
    return { folder, freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  });
}

/** The folder itself, or the nearest one above it that is there. */
function existing(folder: string): string {
  return statSync(folder, { throwIfNoEntry: false }) === undefined ? existing(dirname(folder)) : folder;
}

async function lookAtIngress({ status }: Answer, { listen, remote }: DoctorParts): Promise<IngressFact> {
  const address = `${listen.host.includes(":") ? `[${listen.host}]` : listen.host}:${listen.port}`;
  if (status?.ingressRunning && remote === undefined) {
    return { address, state: "ours", note: status.ingressNote };
  }
  return { address, state: await tryToListen(listen), note: undefined };
}

async function tryToListen({ host, port }: DoctorParts["listen"]): Promise<IngressFact["state"]> {
  const socket = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.listen({ host, port, exclusive: true }, resolve);
    });
    return "free";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EADDRINUSE" ? "taken" : "refused";
  } finally {
    socket.close();
  }
}

/** What of the home folder only its user may read. */
const privateFiles = ["keys", "keys/master.key", "login.json", "server.json", "store.db", "server.log"];

function lookAtFiles({ home }: DoctorParts): readonly FileFact[] {
  const user = process.getuid?.();
  return ["", "settings.yaml", ...privateFiles].flatMap((name) => {
    const path = join(home, name);
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return [];
    const isOurs = user === undefined || found.uid === user;
    return [{ path, mode: found.mode & 0o777, isOurs, isPrivate: privateFiles.includes(name) }];
  });
}

/** Milliseconds in which a clock that is being set shows it. */
const watchTime = 250;

async function lookAtClock(parts: DoctorParts): Promise<ClockFact> {
  const [clock, watch] = [Date.now(), performance.now()];
  const isSynchronized = await askTimedatectl(parts);
  await sleep(watchTime);
  const now = Date.now();
  const newest = [parts.storeFile, join(parts.home, "server.log"), join(parts.home, "server.json")]
    .map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0)
    .reduce((one, other) => Math.max(one, other));
  return {
    now,
    jumpSeconds: (now - clock - (performance.now() - watch)) / 1_000,
    diskSeconds: diskTime(existing(parts.home)),
    futureSeconds: Math.max(0, (newest - now) / 1_000),
    isSynchronized,
  };
}

async function askTimedatectl(parts: DoctorParts): Promise<boolean | undefined> {
  const { exitCode, stdout } = await ask(
    "timedatectl",
    ["show", "--property=NTPSynchronized", "--value"],
    parts,
  );
  if (exitCode !== 0) return undefined;
  return { yes: true, no: false }[stdout.trim()];
}

/** By how many seconds a file that is written now seems to be from another time. */
function diskTime(folder: string): number | undefined {
  return whenThere(() => {
    const trial = mkdtempSync(join(folder, ".doctor-"));
    try {
      const file = join(trial, "now");
      const before = Date.now();
      writeFileSync(file, "");
      return (statSync(file).mtimeMs - before) / 1_000;
    } finally {
      rmSync(trial, { recursive: true, force: true });
    }
  });
}

/** How the server is, or why it can't be asked. */
interface Answer {
  readonly status?: ServerStatus;
  readonly failure?: string;
  readonly milliseconds: number;
}

async function askServer({ server }: DoctorParts): Promise<Answer> {
  const start = performance.now();
  try {
    const status = await server.status();
    return { status, milliseconds: performance.now() - start };
  } catch (error) {
    return { failure: asFailure(error).message, milliseconds: performance.now() - start };
  }
}

function serverFact({ status, failure, milliseconds }: Answer, parts: DoctorParts): ServerFact {
  const { home, version: ownVersion, remote } = parts;
  const isRunning = status?.running === true;
  return {
    version: isRunning ? status.version : undefined,
    ownVersion,
    answeredAfter: isRunning ? milliseconds : undefined,
    remote,
    failure,
    silentPid: isRunning || remote !== undefined ? undefined : livingServer(home),
  };
}

function livingServer(home: string): number | undefined {
  const pid = jsonIfThere<{ readonly pid?: number }>(join(home, "server.json"))?.pid;
  if (pid === undefined) return undefined;
  return whenThere(() => process.kill(pid, 0)) ? pid : undefined;
}

async function askCluster(parts: DoctorParts): Promise<ClusterFact> {
  const { kubeconfigFile: kubeconfig, kubeconfigVariable } = parts;
  const none = { kubectl: undefined, answer: undefined };
  if (kubeconfig === undefined) return { ...none, kubeconfig, unreadable: kubeconfigVariable };
  const variables = { ...parts.variables, KUBECONFIG: kubeconfigVariable ?? kubeconfig };
  const client = await ask("kubectl", ["version", "--client", "--output=json"], { variables });
  if (client.exitCode !== 0) return { ...none, kubeconfig, unreadable: undefined };
  const both = await ask("kubectl", ["version", "--output=json", "--request-timeout=5s"], { variables });
  const [kubectl = "unknown", cluster] = [...both.stdout.matchAll(/"gitVersion": "([^"]+)"/g)].map(
    ([, version = ""]) => version,
  );
  const lastLine = both.stderr.trim().split("\n").at(-1) || "no answer in time";
  const answer =
    both.exitCode === 0 && cluster !== undefined
      ? { reached: true, text: `Kubernetes ${cluster}` }
      : { reached: false, text: lastLine };
  return { kubeconfig, unreadable: undefined, kubectl, answer };
}

function checkStore({ storeFile, storeDamage }: DoctorParts): StoreFact | undefined {
  const found = statSync(storeFile, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  return { path: storeFile, bytes: found.size, damage: storeDamage(storeFile) };
}

const noSecrets: SecretsFact = { sealedWith: [], missing: [], failure: undefined };

async function lookAtSecrets({ storeFile, masterKeys, missingKeys }: DoctorParts): Promise<SecretsFact> {
  try {
    const needed = masterKeys(storeFile);
    return { sealedWith: [...needed], missing: await missingKeys(needed), failure: undefined };
  } catch (error) {
    return { ...noSecrets, failure: asFailure(error).message };
  }
}

async function measureLogs(home: string): Promise<readonly LogFact[]> {
  const size = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const logs = ["server.log", "ingress/ingress.log", "spawner/spawner.log"].map((name) => ({
    path: join(home, name),
    bytes: size(join(home, name)),
  }));
  let bytes = 0;
  for await (const log of glob("runs/*/*/*/process/log", { cwd: home })) bytes += size(join(home, log));
  return [...logs.filter((log) => log.bytes > 0), { path: join(home, "runs"), bytes }];
}
