import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createArtifactStore } from "../../src/artifacts/artifact-store.ts";
import { gitMachineVariables, stageMachineVariables } from "../../src/core/machine-environment.ts";
import type { BatchTask, RunCommit, ServiceTask } from "../../src/core/run-state.ts";
import { createAddresses } from "../../src/engines/local/addresses.ts";
import { createIngress, type Ingress } from "../../src/engines/local/ingress/ingress.ts";
import { createLayout } from "../../src/engines/local/layout.ts";
import {
  createLocalEngine,
  type LocalEngine,
  type LocalEngineParts,
  logReferences,
} from "../../src/engines/local/local-engine.ts";
import { createNames } from "../../src/engines/local/names.ts";
import {
  createProcesses,
  type Processes,
  type RunningProcess,
} from "../../src/engines/local/processes/processes.ts";
import { createGitSource } from "../../src/git/git-source.ts";
import { systemClock } from "../../src/lib/system-clock.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { RunStore } from "../../src/ports/run-store.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { hookedEnvironment } from "../engines/local/name-hook/support/environment.ts";
import { fakeSecrets } from "./fake-secrets.ts";
import { type Files, makeProject } from "./git-project.ts";
import { temporaryFolder } from "./temporary.ts";

/** One server's hold on the machine. */
export interface LocalServerLife {
  readonly engine: LocalEngine;
  readonly store: RunStore;
  readonly ingress: Ingress;
  readonly processes: Processes;
  /** As if it had been killed: nothing of it reaches the store or starts a process any more. */
  kill(): void;
}

/** What a test puts between the engine and its parts. */
export interface ConnectOptions {
  readonly clock?: Clock;
  readonly wrapStore?: (store: RunStore) => LocalEngineParts["store"];
  /** Every run is, if left out. */
  readonly isUnfinished?: (runId: string) => boolean;
  readonly wrapIngress?: (ingress: Ingress) => LocalEngineParts["ingress"];
  readonly secrets?: LocalEngineParts["secrets"];
}

/** A home folder with the true local engine over a true repository of these files. */
export interface LocalMachine {
  readonly home: string;
  /** A new server on the machine; the one before must have been killed. */
  connect(options?: ConnectOptions): Promise<LocalServerLife>;
  /** Pushes a change and gives its commit. */
  push(files: Files): Promise<RunCommit>;
  readonly commit: RunCommit;
  /** A task of the machine's newest commit, with its environment and its marks. */
  of<T extends BatchTask | ServiceTask>(task: T): T;
  /** Process ids of the programs of a task, in the order they were started. */
  pids(task: BatchTask | ServiceTask): readonly number[];
  /** Ends everything that was started. */
  stop(): Promise<void>;
}

/** The beginning of each program: it leaves its process id where the test finds it. */
export const leaveMark = `import os, time
with open(os.environ["MARKS"], "a") as marks:
    marks.write(f"{os.environ['BODYWORK_RUN_ID']} {os.environ['TASK_NODE']} {os.environ.get('BODYWORK_ATTEMPT', '')} {os.getpid()}\\n")
`;

export async function localMachine(files: Files): Promise<LocalMachine> {
  const home = temporaryFolder("home");
  const marks = join(temporaryFolder("marks"), "marks");
  const project = await makeProject({ files, path: temporaryFolder("project") });
  const environment = await hookedEnvironment([]);
  const variables = stageMachineVariables(process.env);
  const source = createGitSource({
    folder: join(home, "git"),
    environment: gitMachineVariables(process.env),
    insecureHosts: [],
    fetchTimeoutSeconds: 60,
    maxRepositoryMb: 100,
  });
  const resolveCommit = (): Promise<RunCommit> =>
    source.resolve({ url: project.url, ref: undefined }, new AbortController().signal);
  let commit = await resolveCommit();
  const lives = new Set<LocalServerLife>();
  let stopped = false;

  const connect: LocalMachine["connect"] = async (options = {}) => {
    const layout = createLayout(home);
    mkdirSync(layout.ingressFolder, { recursive: true });
    const store = openStore(join(home, "store.db"));
    const ingress = createIngress({
      folder: layout.ingressFolder,
      version: "4.0.0",
      listen: { host: "127.0.0.1", port: 0 },
    });
    const processes = await createProcesses({ stateFolder: join(home, "spawner") });
    const { clock = systemClock, wrapStore = (same) => same, wrapIngress = (same) => same } = options;
    const killed = new AbortController();
    const engine = createLocalEngine({
      layout,
      store: wrapStore(store),
      source,
      artifacts: createArtifactStore({ folder: join(home, "artifacts") }),
      secrets: options.secrets ?? fakeSecrets(),
      processes: untilKilled(processes, killed.signal),
      ingress: wrapIngress(ingress),
      names: createNames(layout, variables),
      addresses: await createAddresses(),
      random: Math.random,
      newNonce: randomUUID,
      notebookRunner: fileURLToPath(new URL("../../src/engines/local/run_notebook.py", import.meta.url)),
      machine: variables,
      logReference: logReferences(home),
      clock: {
        ...clock,
        // Whoever was killed does not wake up again.
        async sleep(...time) {
          await clock.sleep(...time);
          if (killed.signal.aborted) await new Promise(() => {});
        },
      },
    });
    await ingress.start();
    await engine.takeUp(options.isUnfinished ?? (() => true));
    const life: LocalServerLife = {
      engine,
      store,
      ingress,
      processes,
      kill() {
        lives.delete(life);
        killed.abort();
        store.close();
        ingress.release();
        processes.close();
      },
    };
    lives.add(life);
    return life;
  };

  return {
    home,
    connect,
    async push(changed) {
      await project.commit(changed);
      commit = await resolveCommit();
      return commit;
    },
    get commit() {
      return commit;
    },
    of: (task) => ({
      ...task,
      commit,
      environment: { key: environment.key, folder: environment.folder, python: environment.python },
      variables: { ...task.variables, MARKS: marks, TASK_NODE: task.node },
    }),
    pids(task) {
      const attempt = "attempt" in task ? String(task.attempt) : "";
      const prefix = `${task.runId} ${task.node} ${attempt} `;
      const lines = existsSync(marks) ? readFileSync(marks, "utf8").split("\n") : [];
      return lines.flatMap((line) => (line.startsWith(prefix) ? [Number(line.split(" ").at(-1))] : []));
    },
    async stop() {
      if (stopped) return;
      stopped = true;
      const [life = await connect()] = lives;
      for (const { id } of life.store.unfinishedRuns()) await life.engine.endRun(id);
      await life.engine.stopServices();
      await life.ingress.stop();
      life.kill();
    },
  };
}

/** A server that was killed neither starts nor ends a process any more. */
function untilKilled(processes: Processes, killed: AbortSignal): Processes {
  const unlessKilled = <T>(work: () => Promise<T>): Promise<T> =>
    killed.aborted ? new Promise(() => {}) : work();
  const gated = (running: RunningProcess): RunningProcess => ({
    ...running,
    stop: (options) => unlessKilled(() => running.stop(options)),
  });
  return {
    memoryLimitEnforced: processes.memoryLimitEnforced,
    start: async (spec) => gated(await unlessKilled(() => processes.start(spec))),
    async adopt(folder) {
      const running = await processes.adopt(folder);
      return running === undefined ? undefined : gated(running);
    },
    runningBelow: processes.runningBelow,
    close: processes.close,
  };
}

export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

export async function until(look: () => boolean | Promise<boolean>, seconds = 20): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`not within ${seconds} s`);
    await sleep(20);
  }
}
