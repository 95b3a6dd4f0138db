import type { CliIo, CliSignal, CliWiring } from "../../../src/cli/cli-io.ts";
import { runCli } from "../../../src/cli/run-cli.ts";
import type { Operations, ServerControl } from "../../../src/operations/operations.ts";

export interface TerminalOptions {
  readonly terminal?: boolean;
  readonly columns?: number;
  readonly color?: boolean;
  readonly debug?: boolean;
  /** Answers to what is asked, in order; asking is possible only with some. */
  readonly answers?: readonly string[];
  /** What standard input brings. */
  readonly input?: string;
}

export interface TestTerminal {
  readonly io: CliIo;
  stdout(): string;
  stderr(): string;
  readonly asked: string[];
  /** As if the signal came; false when nobody handles it. */
  send(signal: CliSignal): boolean;
  /** Lets the time of long sleeps pass. */
  advance(milliseconds: number): void;
  closeOutput(): void;
}

export const startOfTime = Date.parse("2026-11-23T19:05:12.000Z");

/** A terminal in memory. Sleeps of up to five seconds pass at once, longer ones when the test says so. */
export function testTerminal(options: TerminalOptions = {}): TestTerminal {
  const written = { stdout: "", stderr: "" };
  const handlers = new Map<CliSignal, Set<() => void>>();
  const asked: string[] = [];
  const answers = [...(options.answers ?? [])];
  const outputClosed = new AbortController();
  let now = startOfTime;
  let sleepers: { readonly until: number; readonly wake: () => void }[] = [];
  const stream = (name: "stdout" | "stderr") => ({
    write: (text: string) => {
      written[name] += text;
    },
    isTerminal: options.terminal ?? false,
    color: options.color ?? false,
  });
  return {
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    asked,
    send(signal) {
      const found = [...(handlers.get(signal) ?? [])];
      for (const handler of found) handler();
      return found.length > 0;
    },
    advance(milliseconds) {
      now += milliseconds;
      for (const sleeper of sleepers.filter(({ until }) => until <= now)) sleeper.wake();
      sleepers = sleepers.filter(({ until }) => until > now);
    },
    closeOutput: () => outputClosed.abort(),
    io: {
      stdout: stream("stdout"),
      stderr: stream("stderr"),
      columns: options.columns,
      canAsk: options.answers !== undefined,
      ask: async (question) => {
        asked.push(question);
        return answers.shift();
      },
      askHidden: async (question) => {
        asked.push(`${question}(hidden)`);
        return answers.shift();
      },
      readInput: async () => options.input ?? "",
      workingFolder: "/home/me",
      debug: options.debug ?? false,
      quiet: false,
      now: () => now,
      async sleep(milliseconds, signal) {
        if (milliseconds <= 5_000) {
          now += milliseconds;
          await new Promise((resolve) => setImmediate(resolve));
          return;
        }
        await new Promise<void>((wake) => {
          sleepers.push({ until: now + milliseconds, wake });
          signal?.addEventListener("abort", () => wake(), { once: true });
        });
      },
      every: () => () => {},
      onSignal(signal, handler) {
        const set = handlers.get(signal) ?? new Set();
        handlers.set(signal, set.add(handler));
        return () => set.delete(handler);
      },
      outputClosed: outputClosed.signal,
    },
  };
}

export interface Parts {
  readonly operations?: Partial<Operations>;
  readonly server?: Partial<ServerControl>;
  readonly wiring?: Partial<CliWiring>;
}

/** What the command line reaches; whatever a test does not give is not there and throws when it is used. */
export function testWiring({ operations = {}, server = {}, wiring = {} }: Parts = {}): CliWiring {
  const missing = (name: string) => () => {
    throw new Error(`the test gives no ${name}`);
  };
  return {
    version: "4.0.0",
    use: missing("use"),
    engineNotice: async () => ({ engine: "local", why: "no kubeconfig on this machine" }),
    elsewhere: async () => undefined,
    shownInstead: async () => undefined,
    operations: async () => ({
      deploy: missing("deploy"),
      followRun: missing("followRun"),
      cancelRun: missing("cancelRun"),
      deleteDeployment: missing("deleteDeployment"),
      cleanEnvironments: missing("cleanEnvironments"),
      deployments: missing("deployments"),
      runs: missing("runs"),
      run: missing("run"),
      logs: missing("logs"),
      environments: missing("environments"),
      plan: missing("plan"),
      deleteService: missing("deleteService"),
      createJob: missing("createJob"),
      deleteJob: missing("deleteJob"),
      createCronjob: missing("createCronjob"),
      updateCronjob: missing("updateCronjob"),
      deleteCronjob: missing("deleteCronjob"),
      createSecret: missing("createSecret"),
      updateSecret: missing("updateSecret"),
      deleteSecret: missing("deleteSecret"),
      deleteSecretGroup: missing("deleteSecretGroup"),
      readSecrets: missing("readSecrets"),
      secrets: missing("secrets"),
      cronjobs: missing("cronjobs"),
      jobs: missing("jobs"),
      jobLog: missing("jobLog"),
      ...operations,
    }),
    serverControl: async () => ({
      status: missing("status"),
      start: missing("start"),
      stop: missing("stop"),
      ...server,
    }),
    serverAdmin: missing("serverAdmin"),
    clusterAdmin: missing("clusterAdmin"),
    imageTool: missing("imageTool"),
    finish: async () => {},
    serverMachine: missing("serverMachine"),
    logins: missing("logins"),
    readProjectFile: missing("readProjectFile"),
    readKeyFile: missing("readKeyFile"),
    secretFiles: missing("secretFiles"),
    environmentSshKey: () => undefined,
    doctorFacts: missing("doctorFacts"),
    runStageHere: missing("runStageHere"),
    serveForeground: missing("serveForeground"),
    ...wiring,
  };
}

/** One command, typed as in a shell without quotes, to its end. */
export async function run(
  line: string | readonly string[],
  parts: Parts = {},
  options: TerminalOptions = {},
): Promise<{
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly asked: readonly string[];
}> {
  const terminal = testTerminal(options);
  const argv = typeof line === "string" ? line.split(" ").filter((word) => word !== "") : line;
  const exitCode = await runCli(argv, terminal.io, testWiring(parts));
  return { exitCode, stdout: terminal.stdout(), stderr: terminal.stderr(), asked: terminal.asked };
}
