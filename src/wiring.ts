/**
 * The composition root: the only module that knows every technology, and the only one that reads the environment. What
 * a command does not need is not loaded.
 */

import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import about from "../package.json" with { type: "json" };
import type { CliWiring, EngineNotice, ProjectFile } from "./cli/cli-io.ts";
import type { TerminalSettings } from "./cli/process-io.ts";
import type { Settings } from "./core/settings.ts";
import type { readIngressState } from "./engines/local/ingress/ingress-state.ts";
import type { ServerParts } from "./http/run-server.ts";
import type { LocalServer } from "./http/server-control.ts";
import type { Operations } from "./operations/operations.ts";

/** What the terminal's behaviour depends on. */
export function terminalSettings(): TerminalSettings {
  const { NO_COLOR, FORCE_COLOR, CI, BODYWORK_DEBUG } = process.env;
  return {
    color: NO_COLOR ? false : FORCE_COLOR ? true : undefined,
    debug: Boolean(BODYWORK_DEBUG),
    ci: Boolean(CI),
  };
}

/** What the command line reaches, of this process's environment and home folder. */
export function createWiring(): CliWiring {
  const machine: Machine = {
    variables: process.env,
    home: resolve(process.env.BODYWORK_HOME || join(homedir(), ".bodywork")),
  };
  let server: Promise<LocalServer> | undefined;
  const serverControl = (): Promise<LocalServer> => {
    server ??= createLocalServer(machine);
    return server;
  };
  return {
    version: about.version,
    engineNotice: () => chosenEngine(machine),
    operations: async () => createOperations(machine, await serverControl()),
    serverControl,
    readProjectFile,
    serveForeground: ({ listen }) => serve(machine, listen),
  };
}

/** This process's machine as far as it matters to us. */
interface Machine {
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Absolute; everything that is kept is below it. */
  readonly home: string;
}

async function chosenEngine({ variables, home }: Machine): Promise<EngineNotice> {
  const { chooseEngine } = await import("./core/choose-engine.ts");
  const { Failure } = await import("./core/failure.ts");
  const kubeconfigs = (variables.KUBECONFIG || join(homedir(), ".kube", "config")).split(":");
  const choice = chooseEngine({
    variable: variables.BODYWORK_ENGINE || undefined,
    setting: (await readSettings(home)).engine,
    kubeconfigVariable: variables.KUBECONFIG || undefined,
    kubeconfigFile: kubeconfigs.find((file) => file !== "" && isReadable(file)),
    inCluster: Boolean(variables.KUBERNETES_SERVICE_HOST),
    ci: Boolean(variables.CI),
  });
  if (choice.engine === "local") return choice;
  if (choice.engine === "none") {
    throw new Failure("engine-unavailable", `Cannot choose an engine: ${choice.why}.`, { hint: choice.hint });
  }
  throw new Failure(
    "engine-unavailable",
    `Cannot use the kubernetes engine, chosen because ${choice.why}: this version deploys on the local engine only.`,
    { hint: "Set BODYWORK_ENGINE=local to deploy on this machine." },
  );
}

async function readSettings(home: string): Promise<Settings> {
  const { parseSettings } = await import("./core/settings.ts");
  const file = join(home, "settings.yaml");
  return parseSettings((await readIfThere(file))?.toString("utf8") ?? "", file);
}

async function readProjectFile(path: string): Promise<ProjectFile | undefined> {
  const bytes = await readIfThere(path, `Name the file in it: ${join(path, "bodywork.yaml")}`);
  if (bytes === undefined) return undefined;
  return { bytes, has: (named) => existsSync(resolve(dirname(path), named)) };
}

/** One byte more than a file of YAML may have, so that its reader sees that it is too long. */
const mostBytes = 1024 * 1024 + 1;

async function readIfThere(path: string, folderHint?: string): Promise<Buffer | undefined> {
  const { readBounded } = await import("./lib/read-bounded.ts");
  try {
    return readBounded(path, mostBytes);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    const { Failure } = await import("./core/failure.ts");
    const isFolder = code === "EISDIR";
    const why = isFolder ? "it is a folder" : code === "ENODEV" ? "it is neither a file nor a pipe" : code;
    const hint = isFolder ? folderHint : undefined;
    throw new Failure("usage", `Cannot read ${path}: ${why}.`, { hint, cause: error });
  }
}

function isReadable(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}

async function createLocalServer(machine: Machine): Promise<LocalServer> {
  const { home, variables } = machine;
  const { createServerControl } = await import("./http/server-control.ts");
  const { installerMachineVariables } = await import("./core/machine-environment.ts");
  const { systemClock } = await import("./lib/system-clock.ts");
  const { readIngressState } = await import("./engines/local/ingress/ingress-state.ts");
  const { getCompileCacheDir } = await import("node:module");
  const compiled = getCompileCacheDir();
  return createServerControl({
    home,
    version: about.version,
    command: [
      process.execPath,
      `--title=bodywork server ${home}`, // As `ps` shows it.
      fileURLToPath(new URL("./main.ts", import.meta.url)),
      "server",
      "run",
    ],
    environment: {
      ...installerMachineVariables(variables),
      BODYWORK_HOME: home,
      ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: dirname(compiled) }),
    },
    sshKey: variables.BODYWORK_GIT_SSH_PRIVATE_KEY || undefined,
    offlineStatus: () => ingressStatus(readIngressState(join(home, "ingress"))),
    sleep: systemClock.sleep,
  });
}

function ingressStatus({ publicUrl, note, running }: ReturnType<typeof readIngressState>) {
  return { ingress: publicUrl, ingressNote: note, ingressRunning: running };
}

/** Files below the home folder that two processes know of. */
const storeFile = (home: string): string => join(home, "store.db");

/** Views look into the store by themselves; actions go to the server, which they start when there is none. */
async function createOperations(machine: Machine, server: LocalServer): Promise<Operations> {
  const { home } = machine;
  const { checkHome } = await import("./http/prepare-home.ts");
  checkHome(home);
  const { createViews } = await import("./operations/views.ts");
  const { openReader } = await import("./store/sqlite-store.ts");
  const { createLogReader } = await import("./engines/local/processes/follow-log.ts");
  const { correctStatus } = await import("./engines/local/correct-status.ts");
  const { systemClock } = await import("./lib/system-clock.ts");
  const views = createViews({
    read(look, nothing) {
      const store = openReader(storeFile(home));
      if (store === undefined) return nothing;
      try {
        return look(store);
      } finally {
        store.close();
      }
    },
    logs: createLogReader(home),
    environments: () => createEnvironments(machine),
    correct: correctStatus(home),
    sleep: systemClock.sleep,
  });
  return {
    ...views,
    deploy: async (request) => (await server.client()).deploy(request),
    async *followRun(runId, after, signal) {
      yield* (await server.client({ unlessStopped: true })).followRun(runId, after, signal);
    },
    cancelRun: async (runId, why) => (await server.client({ unlessStopped: true })).cancelRun(runId, why),
    deleteDeployment: async (name) => (await server.client()).deleteDeployment(name),
    cleanEnvironments: async (options) => (await server.client()).cleanEnvironments(options),
  };
}

async function createEnvironments({ home, variables }: Machine) {
  const { createUvEnvironments } = await import("./environments/uv-environments.ts");
  const { installerMachineVariables } = await import("./core/machine-environment.ts");
  const { startupPth } = await import("./engines/local/name-hook/name-hook.ts");
  return createUvEnvironments({
    folder: join(home, "environments"),
    toolsFolder: join(home, "tools"),
    environment: installerMachineVariables(variables),
    startupPth,
  });
}

/** Is the server; 0 also when the home folder has one already. */
async function serve(machine: Machine, listen: string | undefined): Promise<number> {
  const { runServer } = await import("./http/run-server.ts");
  const { prepareHome } = await import("./http/prepare-home.ts");
  prepareHome(machine.home);
  // What we and our helper processes write is for this user alone; stages get the umask that we were started with.
  const stagesUmask = process.umask(0o077);
  const ended = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => ended.abort());
  process.on("SIGHUP", () => {}); // A closed terminal does not end it.
  await runServer({
    home: machine.home,
    version: about.version,
    listen,
    makeParts: () => createServerParts(machine, stagesUmask),
    ended: ended.signal,
  });
  return 0;
}

async function createServerParts(machine: Machine, stagesUmask: number): Promise<ServerParts> {
  const { home, variables } = machine;
  const settings = await readSettings(home);
  const [
    { availableParallelism },
    { randomUUID },
    { createArtifactStore },
    { gitMachineVariables, stageMachineVariables },
    { createAddresses },
    { createIngress },
    { createLayout },
    { createLocalEngine, logReferences },
    { createNames },
    { createLogReader },
    { createProcesses },
    { createGitSource },
    { systemClock },
    { createRunActions },
    { createRunFeed },
    { openStore },
  ] = await Promise.all([
    import("node:os"),
    import("node:crypto"),
    import("./artifacts/artifact-store.ts"),
    import("./core/machine-environment.ts"),
    import("./engines/local/addresses.ts"),
    import("./engines/local/ingress/ingress.ts"),
    import("./engines/local/layout.ts"),
    import("./engines/local/local-engine.ts"),
    import("./engines/local/names.ts"),
    import("./engines/local/processes/follow-log.ts"),
    import("./engines/local/processes/processes.ts"),
    import("./git/git-source.ts"),
    import("./lib/system-clock.ts"),
    import("./operations/run-actions.ts"),
    import("./operations/run-feed.ts"),
    import("./store/sqlite-store.ts"),
  ]);

  const store = openStore(storeFile(home));
  const layout = createLayout(home);
  const stageVariables = stageMachineVariables(variables);
  const source = createGitSource({
    folder: join(home, "git"),
    environment: gitMachineVariables(variables),
    insecureHosts: settings.insecure_git_hosts,
    fetchTimeoutSeconds: settings.git.fetch_timeout_seconds,
    maxRepositoryMb: settings.git.max_repository_mb,
  });
  const artifacts = createArtifactStore({ folder: join(home, "artifacts") });
  const processes = await createProcesses({ stateFolder: join(home, "spawner"), umask: stagesUmask });
  const ingress = createIngress({
    folder: layout.ingressFolder,
    version: about.version,
    ...(settings.listen === undefined ? {} : { listen: addressOf(settings.listen) }),
    // Standard output is the server's log.
    notify: (text) => process.stdout.write(`${text}\n`),
  });
  const engine = createLocalEngine({
    layout,
    store,
    source,
    artifacts,
    processes,
    ingress,
    names: createNames(layout, stageVariables),
    addresses: await createAddresses(),
    clock: systemClock,
    random: Math.random,
    newNonce: randomUUID,
    notebookRunner: fileURLToPath(new URL("./engines/local/run_notebook.py", import.meta.url)),
    machine: stageVariables,
    logReference: logReferences(home),
  });
  const feed = createRunFeed(store, createLogReader(home), systemClock.now);
  const actions = createRunActions(
    {
      store,
      source,
      environments: await createEnvironments(machine),
      artifacts,
      engine,
      clock: systemClock,
      maxParallelStages: settings.max_parallel_stages ?? Math.max(8, 2 * availableParallelism()),
    },
    feed,
  );
  return {
    actions,
    async takeUp() {
      await ingress.start();
      await engine.takeUp((runId) => store.unfinishedRuns().some(({ id }) => id === runId));
    },
    ingress: () => ({
      ingress: ingress.publicUrl(),
      ingressNote: ingress.note(),
      ingressRunning: ingress.running(),
    }),
    comingBack: () => engine.comingBack().map(({ namespace, stage }) => `${namespace}/${stage}`),
    listen: ingress.listen,
    async stopServices() {
      await actions.cancelAll("server stop --services");
      await engine.stopServices();
      await ingress.stop();
    },
    async close() {
      ingress.release();
      processes.close();
      store.close();
    },
  };
}

/** `HOST:PORT`, as the settings have it. */
function addressOf(text: string): { readonly host: string; readonly port: number } {
  const [host = "", port] = text.split(":");
  return { host, port: Number(port) };
}
