/**
 * The composition root: the only module that knows every technology, and the only one that reads the environment. What
 * a command does not need is not loaded.
 */

import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import about from "../package.json" with { type: "json" };
import type { CliWiring, ConnectionOptions, ProjectFile } from "./cli/cli-io.ts";
import type { TerminalSettings } from "./cli/process-io.ts";
import { type EngineChoice, isCi } from "./core/choose-engine.ts";
import type { DoctorFacts } from "./core/doctor.ts";
import type { Failure } from "./core/failure.ts";
import { SecretValue } from "./core/secret-value.ts";
import type { Settings } from "./core/settings.ts";
import type { readIngressState } from "./engines/local/ingress/ingress-state.ts";
import type { ServerClient } from "./http/client.ts";
import type { LocalServer } from "./http/server-control.ts";
import type { ClusterTool } from "./kubernetes-wiring.ts";
import type { Operations, ServerControl } from "./operations/operations.ts";
import type { ServerMachine } from "./operations/server-admin.ts";
import type { StoreReader } from "./ports/store.ts";

/** What the terminal's behaviour depends on. */
export function terminalSettings(): TerminalSettings {
  const { NO_COLOR, FORCE_COLOR, CI, BODYWORK_DEBUG } = process.env;
  return {
    color: NO_COLOR ? false : FORCE_COLOR ? true : undefined,
    debug: Boolean(BODYWORK_DEBUG),
    ci: isCi(CI),
  };
}

/** What the command line reaches, of this process's environment and home folder. */
export function createWiring(): CliWiring {
  const machine: Machine = {
    variables: process.env,
    home: resolve(process.env.BODYWORK_HOME || join(homedir(), ".bodywork")),
  };
  let options: ConnectionOptions = { server: undefined, token: undefined, engine: undefined };
  /** The deployment that the command is about, by name: it is looked for where it lives. */
  let deploymentInQuestion: string | undefined;
  const choose = once(() => chooseEngineFor(machine, options, deploymentInQuestion));
  const localServer = once(() => createLocalServer(machine));
  /** The server on another machine that commands go to; undefined when they go to this machine's own. */
  const remote = once(async (): Promise<RemoteServer | undefined> => {
    // The settings name no server, and may be what is to be mended.
    const choice = await chooseEngineFor(machine, options, undefined, noSetting);
    if (choice.engine === "none" && choice.mistake) throw await refusal(choice);
    return choice.engine === "server" ? connectTo(choice.url, machine, options) : undefined;
  });
  /** The cluster, when commands go there. */
  let cluster: Promise<ClusterTool> | undefined;
  const clusterTool = async (): Promise<ClusterTool | undefined> => {
    if ((await choose()).engine !== "kubernetes") return undefined;
    cluster ??= createCluster(machine);
    return cluster;
  };
  const serverControl = async (): Promise<ServerControl> => {
    const server = await remote();
    if (server === undefined) return localServer();
    const { createRemoteControl } = await import("./http/remote-server.ts");
    return createRemoteControl(server.client, server.url);
  };
  return {
    version: about.version,
    use(given) {
      options = given;
    },
    async engineNotice(deployment) {
      deploymentInQuestion = deployment;
      const choice = await choose();
      switch (choice.engine) {
        case "local":
        case "kubernetes":
          return choice;
        case "server":
          return { engine: `server ${choice.url}`, why: choice.why };
        default:
          throw await refusal(choice);
      }
    },
    async operations() {
      const tool = await clusterTool();
      if (tool !== undefined) return tool.operations;
      return (await remote())?.client ?? createLocalOperations(machine, await localServer());
    },
    async finish() {
      await (await cluster?.catch(() => undefined))?.finish();
    },
    async clusterAdmin(namespace) {
      cluster ??= createCluster(machine);
      return (await cluster).admin(namespace);
    },
    async elsewhere() {
      const [{ elsewhere }, { readLogin }] = await Promise.all([
        import("./core/other-engine.ts"),
        import("./http/login-file.ts"),
      ]);
      const localDeployments = await readStore(machine, (store) => store.deployments().length, 0);
      return elsewhere({ chosen: await choose(), localDeployments, login: readLogin(machine.home)?.url });
    },
    async shownInstead() {
      // What is wrong in the settings keeps nobody from looking.
      const setting = async () => (await lookAtSettings(machine)).settings.engine;
      const choice = await chooseEngineFor(machine, options, undefined, setting);
      return (await import("./core/other-engine.ts")).shownInstead(choice);
    },
    serverControl,
    async serverAdmin() {
      return (await remote())?.client ?? (await localServer()).client();
    },
    async serverMachine() {
      const server = await remote();
      if (server === undefined) return createLocalMachine(machine);
      const { createRemoteMachine } = await import("./http/remote-server.ts");
      return createRemoteMachine(server.url);
    },
    async logins() {
      const { createLogins } = await import("./http/login-file.ts");
      return createLogins({ home: machine.home, version: about.version });
    },
    readProjectFile,
    async readKeyFile(path) {
      const bytes = await readIfThere(path);
      if (bytes !== undefined) return new SecretValue(bytes.toString("utf8"));
      const { Failure } = await import("./core/failure.ts");
      throw new Failure("usage", `Cannot read the ssh key: could not find key file at ${path}.`);
    },
    secretFiles: async () => (await import("./secrets/age-file.ts")).ageFiles,
    environmentSshKey() {
      const text = process.env.BODYWORK_GIT_SSH_PRIVATE_KEY;
      return text === undefined || text.trim() === "" ? undefined : new SecretValue(text);
    },
    async doctorFacts() {
      const settings = await lookAtSettings(machine);
      const setting = async () => settings.settings.engine;
      // What keeps a command from its server is a finding, too.
      const engine = await chooseEngineFor(machine, options, undefined, setting).catch(noChoice);
      const server = { status: async () => (await serverControl()).status() };
      return lookAround(machine, { engine, server, ...settings });
    },
    async imageTool() {
      const { createImageTool } = await import("./image/image-tool.ts");
      const { image } = (await readSettings(machine)).kubernetes;
      return createImageTool({ variables: machine.variables, image });
    },
    runStageHere: (request, observer, signal) => runStage(machine, request, observer, signal),
    serveForeground: ({ listen, listenApi }) => serve(machine, listen, listenApi),
  };
}

/** This process's machine as far as it matters to us. */
interface Machine {
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Absolute; everything that is kept is below it. */
  readonly home: string;
}

interface RemoteServer {
  readonly url: string;
  readonly client: ServerClient;
}

/** Made when it is first asked for, and then the same. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** `deployment`: the one that the command is about, by name. */
async function chooseEngineFor(
  machine: Machine,
  { server, engine }: ConnectionOptions,
  deployment?: string,
  setting: (machine: Machine) => Promise<Settings["engine"]> = engineSetting,
): Promise<EngineChoice> {
  const [{ chooseEngine }, { readLogin }] = await Promise.all([
    import("./core/choose-engine.ts"),
    import("./http/login-file.ts"),
  ]);
  const { variables, home } = machine;
  const livesHere =
    deployment !== undefined &&
    (await readStore(machine, (store) => store.deployments().some(({ name }) => name === deployment), false));
  return chooseEngine({
    option: engine,
    serverOption: server,
    variable: variables.BODYWORK_ENGINE || undefined,
    serverVariable: variables.BODYWORK_SERVER || undefined,
    login: readLogin(home)?.url,
    setting: await setting(machine),
    livesOn: livesHere ? "local" : undefined,
    kubeconfigVariable: variables.KUBECONFIG || undefined,
    kubeconfigFile: readableKubeconfig(variables),
    inCluster: Boolean(variables.KUBERNETES_SERVICE_HOST),
    ci: isCi(variables.CI),
  });
}

const engineSetting = async (machine: Machine): Promise<Settings["engine"]> =>
  (await readSettings(machine)).engine;

const noSetting = async (): Promise<undefined> => undefined;

async function noChoice(error: unknown): Promise<EngineChoice> {
  const { asFailure } = await import("./core/failure.ts");
  const { message, hint = "" } = asFailure(error);
  return { engine: "none", why: message, hint };
}

async function refusal({ why, hint }: Extract<EngineChoice, { engine: "none" }>): Promise<Failure> {
  const { Failure } = await import("./core/failure.ts");
  return new Failure("engine-unavailable", `Cannot choose an engine: ${why}.`, { hint });
}

async function createCluster(machine: Machine): Promise<ClusterTool> {
  const { variables, home } = machine;
  const [{ createClusterTool }, { prepareHome }] = await Promise.all([
    import("./kubernetes-wiring.ts"),
    import("./http/prepare-home.ts"),
  ]);
  prepareHome(home); // The mirrors of repositories are in it.
  const settings = await readSettings(machine);
  return createClusterTool({
    connect: {
      kubeconfigFiles: variables.KUBECONFIG || readableKubeconfig(variables),
      context: settings.kubernetes.context,
      inCluster: Boolean(variables.KUBERNETES_SERVICE_HOST),
      version: about.version,
    },
    settings,
    source: await createSource(machine, settings),
    job: variables.BODYWORK_JOB
      ? { name: variables.BODYWORK_JOB, cronjob: variables.BODYWORK_CRONJOB || undefined }
      : undefined,
  });
}

async function connectTo(
  url: string,
  { variables, home }: Machine,
  { token }: ConnectionOptions,
): Promise<RemoteServer> {
  const [{ createClient }, { addressOfRemote }, { readLogin }] = await Promise.all([
    import("./http/client.ts"),
    import("./http/remote-server.ts"),
    import("./http/login-file.ts"),
  ]);
  const address = addressOfRemote({
    url,
    token: token?.reveal() ?? (variables.BODYWORK_TOKEN || undefined),
    caFile: variables.BODYWORK_CA_FILE || undefined,
    insecureHttp: Boolean(variables.BODYWORK_INSECURE_HTTP),
    login: readLogin(home),
    version: about.version,
  });
  return { url: address.api, client: createClient(address) };
}

/** Of `settings.yaml` in the home folder; `BODYWORK_SETTINGS`, its text, takes its place: a CI job and a pod have no such folder. */
async function readSettings({ home, variables }: Machine): Promise<Settings> {
  const { parseSettings } = await import("./core/settings.ts");
  const given = variables.BODYWORK_SETTINGS;
  if (given !== undefined && given.trim() !== "") return parseSettings(given, "BODYWORK_SETTINGS");
  const file = join(home, "settings.yaml");
  return parseSettings((await readIfThere(file))?.toString("utf8") ?? "", file);
}

interface SeenSettings {
  /** As if there were none when they can't be read. */
  readonly settings: Settings;
  /** Undefined when there is no such file. */
  readonly problems: readonly string[] | undefined;
}

async function lookAtSettings(machine: Machine): Promise<SeenSettings> {
  const file = join(machine.home, "settings.yaml");
  try {
    const settings = await readSettings(machine);
    return { settings, problems: existsSync(file) ? [] : undefined };
  } catch (error) {
    const [{ asFailure }, { parseSettings }] = await Promise.all([
      import("./core/failure.ts"),
      import("./core/settings.ts"),
    ]);
    const { message, details } = asFailure(error);
    return { settings: parseSettings("", file), problems: [message, ...details] };
  }
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
    command: serverCommand(home),
    environment: {
      ...installerMachineVariables(variables),
      ...masterKeys(variables),
      BODYWORK_HOME: home,
      ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: dirname(compiled) }),
    },
    offlineStatus: () => ingressStatus(readIngressState(join(home, "ingress"))),
    sleep: systemClock.sleep,
  });
}

function serverCommand(home: string): [string, ...string[]] {
  return [
    process.execPath,
    `--title=bodywork server ${home}`, // As `ps` shows it.
    fileURLToPath(new URL("./main.ts", import.meta.url)),
    "server",
    "run",
  ];
}

function masterKeys(variables: Machine["variables"]): Record<string, string> {
  return Object.fromEntries(
    ["BODYWORK_MASTER_KEY", "BODYWORK_PREVIOUS_MASTER_KEY"].flatMap((name) => {
      const key = variables[name];
      return key === undefined ? [] : [[name, key]];
    }),
  );
}

async function createLocalMachine(machine: Machine): Promise<ServerMachine> {
  const { home, variables } = machine;
  const { createServerMachine } = await import("./http/server-machine.ts");
  const configuration = variables.XDG_CONFIG_HOME || join(homedir(), ".config");
  return createServerMachine({
    home,
    command: serverCommand(home),
    path: variables.PATH ?? "",
    unitFolder: { user: join(configuration, "systemd", "user"), system: "/etc/systemd/system" },
    api: async () => (await readSettings(machine)).api,
    async inspectBackup(backup) {
      const [{ keyIdsOfBackup }, { missingKeys }, { masterKeySources }, settings] = await Promise.all([
        import("./store/restore.ts"),
        import("./secrets/open-secrets.ts"),
        import("./secrets/key-sources.ts"),
        readSettings(machine),
      ]);
      const needed = keyIdsOfBackup(storeFile(home), backup);
      return { missingKeys: await missingKeys(masterKeySources(home, variables, settings), needed) };
    },
    async restoreStore(backup) {
      const { restoreStore } = await import("./store/restore.ts");
      return restoreStore(storeFile(home), backup, new Date());
    },
  });
}

function ingressStatus({ publicUrl, note, running }: ReturnType<typeof readIngressState>) {
  return { ingress: publicUrl, ingressNote: note, ingressRunning: running };
}

/** Files below the home folder that two processes know of. */
const storeFile = (home: string): string => join(home, "store.db");

/** Looks into this machine's own store; `nothing` when nothing was ever recorded. Needs no server. */
async function readStore<T>({ home }: Machine, look: (store: StoreReader) => T, nothing: T): Promise<T> {
  const { openReader } = await import("./store/sqlite-store.ts");
  return withReader(openReader(storeFile(home)), look, nothing);
}

function withReader<T>(
  store: (StoreReader & { close(): void }) | undefined,
  look: (store: StoreReader) => T,
  nothing: T,
): T {
  if (store === undefined) return nothing;
  try {
    return look(store);
  } finally {
    store.close();
  }
}

/** Views look into the store by themselves; actions go to the server, which they start when there is none. */
async function createLocalOperations(machine: Machine, server: LocalServer): Promise<Operations> {
  const { home } = machine;
  const { checkHome } = await import("./http/prepare-home.ts");
  checkHome(home);
  const { createViews } = await import("./operations/views.ts");
  const { openReader } = await import("./store/sqlite-store.ts");
  const { createLogReader } = await import("./engines/local/processes/follow-log.ts");
  const { correctStatus } = await import("./engines/local/correct-status.ts");
  const { systemClock } = await import("./lib/system-clock.ts");
  const views = createViews({
    read: (look, nothing) => withReader(openReader(storeFile(home)), look, nothing),
    logs: createLogReader(home),
    environments: () => createEnvironments(machine),
    correct: correctStatus(home),
    sleep: systemClock.sleep,
    now: systemClock.now,
  });
  const client = (): Promise<Operations> => server.client();
  return {
    ...views,
    deploy: async (...args) => (await client()).deploy(...args),
    plan: async (...args) => (await client()).plan(...args),
    async *followRun(runId, after, signal) {
      yield* (await server.client({ unlessStopped: true })).followRun(runId, after, signal);
    },
    cancelRun: async (runId, why) => (await server.client({ unlessStopped: true })).cancelRun(runId, why),
    deleteDeployment: async (name) => (await client()).deleteDeployment(name),
    deleteService: async (...args) => (await client()).deleteService(...args),
    cleanEnvironments: async (options) => (await client()).cleanEnvironments(options),
    createJob: async (...args) => (await client()).createJob(...args),
    deleteJob: async (id) => (await client()).deleteJob(id),
    createCronjob: async (...args) => (await client()).createCronjob(...args),
    updateCronjob: async (...args) => (await client()).updateCronjob(...args),
    deleteCronjob: async (name) => (await client()).deleteCronjob(name),
    createSecret: async (...args) => (await client()).createSecret(...args),
    updateSecret: async (...args) => (await client()).updateSecret(...args),
    deleteSecret: async (...args) => (await client()).deleteSecret(...args),
    deleteSecretGroup: async (group) => (await client()).deleteSecretGroup(group),
    readSecrets: async (filter) => (await client()).readSecrets(filter),
  };
}

async function createSource({ home, variables }: Machine, settings: Settings) {
  const { createGitSource } = await import("./git/git-source.ts");
  const { gitMachineVariables } = await import("./core/machine-environment.ts");
  return createGitSource({
    folder: join(home, "git"),
    environment: gitMachineVariables(variables),
    insecureHosts: settings.insecure_git_hosts,
    fetchTimeoutSeconds: settings.git.fetch_timeout_seconds,
    maxRepositoryMb: settings.git.max_repository_mb,
  });
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

async function lookAround(
  machine: Machine,
  {
    engine,
    server,
    settings,
    problems,
  }: SeenSettings & { readonly engine: EngineChoice; readonly server: Pick<ServerControl, "status"> },
): Promise<DoctorFacts> {
  const [
    { gatherDoctorFacts },
    { installerMachineVariables },
    { scanPythons },
    { uvVersion },
    { storeDamage },
    { keyIdsOfStore },
    { missingKeys },
    { masterKeySources },
    { tmpdir },
  ] = await Promise.all([
    import("./operations/gather-doctor-facts.ts"),
    import("./core/machine-environment.ts"),
    import("./environments/scan-pythons.ts"),
    import("./environments/find-uv.ts"),
    import("./store/check-store.ts"),
    import("./store/key-ids.ts"),
    import("./secrets/open-secrets.ts"),
    import("./secrets/key-sources.ts"),
    import("node:os"),
  ]);
  const { home, variables } = machine;
  const own = installerMachineVariables(variables);
  const tools = join(home, "tools");
  const [host = "", port] = (settings.listen ?? "127.0.0.1:8080").split(":");
  return gatherDoctorFacts({
    home,
    temporaryFolder: tmpdir(),
    variables: own,
    version: about.version,
    pythonPaths: scanPythons(own, tools).map(({ path }) => path),
    uvPaths: ["uv", join(tools, `uv-${uvVersion}`, "uv")],
    listen: { host, port: Number(port) },
    settings: problems,
    engine,
    server,
    remote: engine.engine === "server" ? engine.url : undefined,
    kubeconfigVariable: variables.KUBECONFIG || undefined,
    kubeconfigFile: readableKubeconfig(variables),
    storeFile: storeFile(home),
    storeDamage,
    masterKeys: keyIdsOfStore,
    missingKeys: (needed) => missingKeys(masterKeySources(home, variables, settings), needed),
  });
}

/** The first that can be read of those that `KUBECONFIG` names, else the user's own. */
function readableKubeconfig(variables: Machine["variables"]): string | undefined {
  const files = (variables.KUBECONFIG || join(homedir(), ".kube", "config")).split(":");
  return files.find((file) => file !== "" && isReadable(file));
}

async function runStage(
  machine: Machine,
  ...[request, observer, signal]: Parameters<CliWiring["runStageHere"]>
): Promise<void> {
  const [{ runStageHere }, { prepareHome }] = await Promise.all([
    import("./operations/run-stage-here.ts"),
    import("./http/prepare-home.ts"),
  ]);
  const { home, variables } = machine;
  prepareHome(home);
  const own = Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined);
  await runStageHere(
    request,
    {
      source: await createSource(machine, await readSettings(machine)),
      environments: await createEnvironments(machine),
      variables: Object.fromEntries(own),
      notebookRunner: fileURLToPath(new URL("./engines/local/run_notebook.py", import.meta.url)),
    },
    observer,
    signal,
  );
}

/** Is the server; 0 also when the home folder has one already. */
async function serve(
  machine: Machine,
  listen: string | undefined,
  listenApi: string | undefined,
): Promise<number> {
  const { home, variables } = machine;
  const [{ runServer }, { prepareHome }, { createServerLog }, { createCappedLog }] = await Promise.all([
    import("./http/run-server.ts"),
    import("./http/prepare-home.ts"),
    import("./http/server-log.ts"),
    import("./lib/capped-log.ts"),
  ]);
  prepareHome(home);
  // What we and our helper processes write is for this user alone; stages get the umask that we were started with.
  const stagesUmask = process.umask(0o077);
  const ended = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => ended.abort());
  process.on("SIGHUP", () => {}); // A closed terminal does not end it.
  // Standard output is the server's log.
  const log = createServerLog(createCappedLog(1, join(home, "server.log")));
  const server = runServer({
    home,
    version: about.version,
    listen,
    async makeParts() {
      const { createServerParts } = await import("./server-wiring.ts");
      const settings = await readSettings(machine);
      const api = { ...settings.api, listen: listenApi ?? settings.api.listen };
      return createServerParts({
        home,
        version: about.version,
        variables,
        settings: { ...settings, api },
        source: await createSource(machine, settings),
        environments: await createEnvironments(machine),
        stagesUmask,
        log,
      });
    },
    ended: ended.signal,
    report: log.notice,
  });
  await server.catch(async (error: unknown) => {
    // The command that has started it tells its user so.
    const { asFailure } = await import("./core/failure.ts");
    log.notStarted(asFailure(error));
    throw error;
  });
  return 0;
}
