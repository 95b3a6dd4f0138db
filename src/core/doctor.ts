/** What is seen of a machine and a home folder, and what of it is wrong. Nothing is looked at here: facts in, findings out. */

import type { EngineChoice } from "./choose-engine.ts";

export interface DoctorFacts {
  /** What `git --version` says; undefined when there is no git. */
  readonly git: string | undefined;
  readonly pythons: readonly Program[];
  readonly uv: Program | undefined;
  readonly disks: readonly DiskFact[];
  readonly ingress: IngressFact;
  readonly files: readonly FileFact[];
  readonly clock: ClockFact;
  /** Of `settings.yaml`: one line for each problem; undefined when there is no such file. */
  readonly settings: readonly string[] | undefined;
  /** Where commands go that name no deployment. */
  readonly engine: EngineChoice;
  readonly server: ServerFact;
  readonly cluster: ClusterFact;
  /** Undefined when there is none yet. */
  readonly store: StoreFact | undefined;
  readonly secrets: SecretsFact;
  readonly logs: readonly LogFact[];
}

export interface Program {
  readonly path: string;
  /** `3.11.7`. */
  readonly version: string;
}

export interface DiskFact {
  readonly folder: string;
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface IngressFact {
  /** Where it is to listen, `HOST:PORT`. */
  readonly address: string;
  /** `refused`: the system does not let us listen there. */
  readonly state: "ours" | "free" | "taken" | "refused";
  /** Why it is elsewhere, when it is. */
  readonly note: string | undefined;
}

export interface FileFact {
  readonly path: string;
  /** The permission bits. */
  readonly mode: number;
  readonly isOurs: boolean;
  /** True when others who can read it learn a secret. */
  readonly isPrivate: boolean;
}

export interface ClockFact {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Seconds that the clock moved on more than a watch that never jumps did, while both were looked at. */
  readonly jumpSeconds: number;
  /** Seconds that a file which is written now has as its time, less ours; undefined when none could be written. */
  readonly diskSeconds: number | undefined;
  /** Seconds that the newest of our files is from the future; 0 when it is not. */
  readonly futureSeconds: number;
  /** Undefined where nothing can be asked. */
  readonly isSynchronized: boolean | undefined;
}

export interface ServerFact {
  /** Of the server that answers; undefined when none does. */
  readonly version: string | undefined;
  readonly ownVersion: string;
  /** Milliseconds until it answered. */
  readonly answeredAfter: number | undefined;
  /** Address of a server on another machine that commands go to; undefined for this machine's own. */
  readonly remote: string | undefined;
  /** Why it could not be asked. */
  readonly failure: string | undefined;
  /** Process that calls itself the server in the home folder, and is alive. */
  readonly silentPid: number | undefined;
}

export interface ClusterFact {
  /** Of `KUBECONFIG` or the usual place, when it can be read. */
  readonly kubeconfig: string | undefined;
  /** `KUBECONFIG` is set, and nothing there can be read. */
  readonly unreadable: string | undefined;
  /** Undefined when there is none. */
  readonly kubectl: string | undefined;
  /** What kubectl says of the cluster: its version, or why it can't be reached. Undefined when it was not asked. */
  readonly answer: { readonly reached: boolean; readonly text: string } | undefined;
}

export interface StoreFact {
  readonly path: string;
  readonly bytes: number;
  /** What is wrong with it; undefined when nothing is. */
  readonly damage: string | undefined;
}

export interface SecretsFact {
  /** Ids of the master keys that secrets are sealed with; none when there are no secrets. */
  readonly sealedWith: readonly string[];
  /** Those of them that are not to be had. */
  readonly missing: readonly string[];
  /** Why it can't be known. */
  readonly failure: string | undefined;
}

export interface LogFact {
  readonly path: string;
  readonly bytes: number;
}

export interface Finding {
  readonly level: "ok" | "warning" | "problem";
  readonly what: string;
  readonly found: string;
  /** What to do; undefined when there is nothing to do. */
  readonly advice?: string | undefined;
}

/** Everything that was looked at, in a fixed order. A `problem` keeps something from working. */
export function diagnose(facts: DoctorFacts): readonly Finding[] {
  return [
    gitFinding(facts.git),
    pythonFinding(facts.pythons),
    uvFinding(facts.uv),
    ...facts.disks.map(diskFinding),
    ingressFinding(facts.ingress),
    ...fileFindings(facts.files),
    clockFinding(facts.clock),
    settingsFinding(facts.settings),
    engineFinding(facts.engine),
    serverFinding(facts.server),
    clusterFinding(facts.cluster),
    storeFinding(facts.store),
    secretsFinding(facts.secrets),
    logFinding(facts.logs),
  ];
}

/** As the code that uses them says: below these versions options that we need are missing. */
const oldestGit = [2, 32] as const;
const oldestUv = [0, 5] as const;

function gitFinding(version: string | undefined): Finding {
  const what = "git";
  const advice = `Install git ${oldestGit.join(".")} or newer, and have it on PATH.`;
  if (version === undefined) return { level: "problem", what, found: "not found", advice };
  if (!isAtLeast(version, oldestGit)) return { level: "problem", what, found: `${version}, too old`, advice };
  return { level: "ok", what, found: version };
}

function pythonFinding(pythons: readonly Program[]): Finding {
  const what = "python";
  if (pythons.length === 0) {
    return { level: "problem", what, found: "not found", advice: "Install Python 3, and have it on PATH." };
  }
  return { level: "ok", what, found: pythons.map(({ path, version }) => `${version} (${path})`).join(", ") };
}

function uvFinding(uv: Program | undefined): Finding {
  const what = "uv";
  if (uv === undefined) {
    const advice = "Nothing to do: it is installed into the home folder when it is first needed.";
    return { level: "ok", what, found: "not found", advice };
  }
  if (isAtLeast(uv.version, oldestUv)) return { level: "ok", what, found: `${uv.version} (${uv.path})` };
  const advice = `Nothing must be done: a newer one is installed into the home folder. To use yours: uv self update`;
  return { level: "warning", what, found: `${uv.version} (${uv.path}), too old to be used`, advice };
}

const mebibyte = 1024 * 1024;
/** One environment with a common machine-learning library needs about that much. */
const scarceBytes = 2048 * mebibyte;
/** The server keeps nothing safely below that. */
const fullBytes = 200 * mebibyte;

function diskFinding({ folder, freeBytes, totalBytes }: DiskFact): Finding {
  const what = `disk of ${folder}`;
  const found = `${inMebibytes(freeBytes)} free of ${inMebibytes(totalBytes)}`;
  const advice = "Make room: bodywork env clean removes environments that nothing uses.";
  if (freeBytes < fullBytes) return { level: "problem", what, found, advice };
  if (freeBytes < scarceBytes) return { level: "warning", what, found, advice };
  return { level: "ok", what, found };
}

function ingressFinding({ address, state, note }: IngressFact): Finding {
  const what = `ingress at ${address}`;
  const elsewhere = "To choose another address: bodywork server start --listen HOST:PORT";
  switch (state) {
    case "ours":
      return note === undefined
        ? { level: "ok", what, found: "runs" }
        : { level: "warning", what, found: note, advice: elsewhere };
    case "free":
      return { level: "ok", what, found: "the address is free" };
    case "taken":
      return {
        level: "warning",
        what,
        found: "another program has the port: the next free one is used",
        advice: elsewhere,
      };
    case "refused":
      return {
        level: "problem",
        what,
        found: "the system does not let this user listen there",
        advice: elsewhere,
      };
  }
}

function fileFindings(files: readonly FileFact[]): readonly Finding[] {
  const wrong = files.flatMap((file) => {
    const finding = fileFinding(file);
    return finding === undefined ? [] : [finding];
  });
  if (wrong.length > 0) return wrong;
  const found = files.length === 0 ? "nothing is there yet" : "only you can read and write what is private";
  return [{ level: "ok", what: "file modes", found }];
}

function fileFinding({ path, mode, isOurs, isPrivate }: FileFact): Finding | undefined {
  const what = `mode of ${path}`;
  const found = `${(mode & 0o777).toString(8).padStart(4, "0")}`;
  if (!isOurs) {
    return {
      level: "problem",
      what: `owner of ${path}`,
      found: "another user",
      advice: `chown -R "$USER" '${path}'`,
    };
  }
  if ((mode & 0o022) !== 0) {
    return { level: "problem", what, found: `${found}: others can write`, advice: `chmod go-rwx '${path}'` };
  }
  if (!isPrivate || (mode & 0o077) === 0) return undefined;
  const advice = `chmod go-rwx '${path}', and replace what is in it if others can have read it.`;
  return { level: "problem", what, found: `${found}: others can read`, advice };
}

/** Nobody had this program before. */
const earliest = Date.parse("2026-01-01T00:00:00Z");

function clockFinding(clock: ClockFact): Finding {
  const what = "clock";
  const found = new Date(clock.now).toISOString();
  const advice = "Have the machine's clock set by the network: timedatectl set-ntp true";
  if (clock.now < earliest) {
    return { level: "problem", what, found: `${found}, before this program was made`, advice };
  }
  const disk = clock.diskSeconds ?? 0;
  if (Math.abs(disk) > 2) {
    const text = `files that are written now are dated ${Math.abs(disk).toFixed(0)} s ${disk > 0 ? "ahead" : "behind"}`;
    return { level: "warning", what, found: text, advice: `${advice} (or that of the file server)` };
  }
  if (Math.abs(clock.jumpSeconds) > 0.5) {
    return {
      level: "warning",
      what,
      found: `it jumped by ${clock.jumpSeconds.toFixed(1)} s just now`,
      advice,
    };
  }
  if (clock.futureSeconds > 60) {
    const text = `it was set back: files of the home folder are ${clock.futureSeconds.toFixed(0)} s from the future`;
    return { level: "warning", what, found: text, advice };
  }
  if (clock.isSynchronized === false) {
    return { level: "warning", what, found: `${found}, not synchronised`, advice };
  }
  return { level: "ok", what, found: clock.isSynchronized ? `${found}, synchronised` : found };
}

function settingsFinding(problems: readonly string[] | undefined): Finding {
  const what = "settings";
  if (problems === undefined) return { level: "ok", what, found: "no settings.yaml: all is as it comes" };
  if (problems.length === 0) return { level: "ok", what, found: "can be read" };
  const advice = "Mend the file, or move it away: without it nothing starts, and nothing is deployed.";
  return { level: "problem", what, found: problems.join(" "), advice };
}

function engineFinding(choice: EngineChoice): Finding {
  const what = "engine";
  const { engine, why } = choice;
  switch (engine) {
    case "local":
      return { level: "ok", what, found: `this machine: ${why}` };
    case "server":
      return { level: "ok", what, found: `the server ${choice.url}: ${why}` };
    case "kubernetes":
      return { level: "ok", what, found: `kubernetes: ${why}` };
    case "none":
      return {
        level: "problem",
        what,
        found: `none can be chosen: ${why}`,
        advice: `Deployments are refused. ${choice.hint}`,
      };
  }
}

function serverFinding(server: ServerFact): Finding {
  const { version, ownVersion, answeredAfter, remote, failure, silentPid } = server;
  const what = remote === undefined ? "server" : `server ${remote}`;
  if (failure !== undefined) {
    const advice = "For this machine's own engine: --engine local";
    return { level: "problem", what, found: failure, advice: remote === undefined ? undefined : advice };
  }
  if (remote === undefined && version !== undefined && version !== ownVersion) {
    const found = `runs, of version ${version}; this is ${ownVersion}`;
    return {
      level: "warning",
      what,
      found,
      advice: "The newer version replaces the older one: bodywork server start",
    };
  }
  if (version !== undefined) {
    return {
      level: "ok",
      what,
      found: `runs, of version ${version}; answered in ${(answeredAfter ?? 0).toFixed(0)} ms`,
    };
  }
  if (silentPid !== undefined) {
    const advice = `See its log, server.log in the home folder; then end it: kill ${silentPid}`;
    return { level: "problem", what, found: `process ${silentPid} does not answer`, advice };
  }
  return {
    level: "ok",
    what,
    found: "does not run",
    advice: "Nothing to do: commands that need it start it.",
  };
}

function clusterFinding({ kubeconfig, unreadable, kubectl, answer }: ClusterFact): Finding {
  const what = "cluster";
  if (unreadable !== undefined) {
    const advice = "Mend or unset KUBECONFIG; for this machine alone: --engine local";
    return { level: "warning", what, found: `KUBECONFIG is ${unreadable}, which can't be read`, advice };
  }
  if (kubeconfig === undefined) return { level: "ok", what, found: "no kubeconfig" };
  const found = `kubeconfig ${kubeconfig}`;
  if (kubectl === undefined) return { level: "ok", what, found: `${found}; kubectl not found` };
  if (answer?.reached) return { level: "ok", what, found: `${found}; reached, ${answer.text}` };
  const advice = "Nothing must be done to deploy on this machine: BODYWORK_ENGINE=local";
  return { level: "warning", what, found: `${found}; not reached: ${answer?.text ?? "not asked"}`, advice };
}

function storeFinding(store: StoreFact | undefined): Finding {
  const what = "store";
  if (store === undefined) return { level: "ok", what, found: "none yet" };
  if (store.damage === undefined) return { level: "ok", what, found: `whole, ${inMebibytes(store.bytes)}` };
  const advice = "Bring a backup back: bodywork server restore FILE";
  return { level: "problem", what, found: `${store.path} is damaged: ${store.damage}`, advice };
}

function secretsFinding({ sealedWith, missing, failure }: SecretsFact): Finding {
  const what = "secrets";
  const sealed = `sealed with the master key ${sealedWith.join(", ")}`;
  if (failure !== undefined) {
    const advice = "Stages that name secrets can't be run until the key is back.";
    return { level: "problem", what, found: failure, advice };
  }
  if (missing.length > 0) {
    const advice =
      "Bring keys/master.key back from its copy, or set BODYWORK_MASTER_KEY. A server that runs may still have the key: bodywork secret export";
    return {
      level: "problem",
      what,
      found: `${sealed}, and ${missing.join(", ")} is not to be found`,
      advice,
    };
  }
  return { level: "ok", what, found: sealedWith.length === 0 ? "none yet" : `${sealed}, which is there` };
}

const largeLog = 512 * mebibyte;

function logFinding(logs: readonly LogFact[]): Finding {
  const what = "logs";
  const total = logs.reduce((sum, { bytes }) => sum + bytes, 0);
  const large = logs.filter(({ bytes }) => bytes > largeLog);
  if (large.length === 0) return { level: "ok", what, found: inMebibytes(total) };
  return {
    level: "warning",
    what,
    found: large.map(({ path, bytes }) => `${path} has ${inMebibytes(bytes)}`).join(", "),
    advice:
      "Remove what you don't need: logs of runs go with their deployment, the others may be emptied at any time.",
  };
}

function inMebibytes(bytes: number): string {
  const gibibytes = bytes / 1024 / mebibyte;
  return gibibytes >= 1 ? `${gibibytes.toFixed(1)} GiB` : `${Math.round(bytes / mebibyte)} MiB`;
}

/** Of the first numbers in the text. */
function isAtLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [, ours = 0, next = 0] = /(\d+)\.(\d+)/.exec(version)?.map(Number) ?? [];
  return ours > major || (ours === major && next >= minor);
}
