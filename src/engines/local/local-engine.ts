import { rm } from "node:fs/promises";
import { dirname, join, relative } from "node:path";

import type { Artifacts } from "../../ports/artifacts.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Engine, ServiceName } from "../../ports/engine.ts";
import type { RunStore } from "../../ports/run-store.ts";
import type { Secrets } from "../../ports/secrets.ts";
import type { Source } from "../../ports/source.ts";
import type { Address, Addresses } from "./addresses.ts";
import type { Route } from "./ingress/routes.ts";
import type { Layout } from "./layout.ts";
import type { Names } from "./names.ts";
import type { Processes } from "./processes/processes.ts";
import { endAttempts, runBatch } from "./run-batch.ts";
import { createServices } from "./services.ts";

/** What the rooms of the local engine share. */
export interface LocalEngineParts {
  readonly layout: Layout;
  readonly store: Pick<
    RunStore,
    "document" | "documents" | "saveDocument" | "removeDocument" | "saveServiceStatus" | "removeServiceStatus"
  >;
  readonly source: Source;
  readonly artifacts: Artifacts;
  readonly secrets: Pick<Secrets, "reveal">;
  readonly processes: Processes;
  readonly ingress: FrontDoor;
  readonly names: Names;
  readonly addresses: Addresses;
  readonly clock: Clock;
  readonly random: () => number;
  readonly newNonce: () => string;
  /** Absolute path of run_notebook.py. */
  readonly notebookRunner: string;
  /** What every stage gets of the machine's environment: PATH, HOME, LANG, TZ, proxy and certificate variables. */
  readonly machine: Readonly<Record<string, string>>;
  /** A log file as others may name it: relative to the home folder. */
  readonly logReference: (file: string) => string;
}

/** The ingress as the engine uses it. */
export interface FrontDoor {
  /** Returns when requests go by these routes and no others. Starts the ingress when there is something to route. */
  apply(routes: readonly Route[]): Promise<void>;
  /** Waits until these targets, which are routed to no more, have nothing in flight, or the time is over. */
  drain(targets: readonly Address[], milliseconds: number): Promise<void>;
  /** `http://127.0.0.1:8080`; undefined before it was ever started. */
  publicUrl(): string | undefined;
  /** Why it is not where it should be; undefined when it is. */
  note(): string | undefined;
}

/** The engine of this machine, and what the server does with it as it starts and stops. */
export interface LocalEngine extends Engine {
  takeUp(isUnfinished: (runId: string) => boolean): Promise<void>;
  /** Services that `takeUp` brings back and that are neither ready yet nor have failed. */
  comingBack(): readonly ServiceName[];
  stopServices(): Promise<void>;
}

export function createLocalEngine(parts: LocalEngineParts): LocalEngine {
  const services = createServices(parts);
  return {
    kind: "local",
    // A namespace is a word in names and routes here: there is nothing to make for it.
    prepare: async () => ({}),
    leaveNamespace: async () => {},
    runBatch: (task, observer, signal) => runBatch(task, observer, signal, parts),
    rollOut: services.rollOut,
    removeService: services.remove,
    currentTask: services.current,
    services: services.statuses,
    async endRun(runId) {
      await Promise.all([endAttempts(runId, parts), services.endCandidates(runId)]);
    },
    removeRun: (runId) => rm(parts.layout.runFolder(runId), { recursive: true, force: true }),
    async takeUp(isUnfinished) {
      // Looked at before services start processes of their own.
      const strangers = findStrangers(isUnfinished, services.onRecord(), parts);
      await services.takeUp(isUnfinished);
      for (const folder of strangers) void endStranger(folder, parts);
    },
    comingBack: services.comingBack,
    stopServices: services.stopAll,
  };
}

/**
 * Processes of this home folder that nothing on record asks for: the store was replaced by a backup that does not know of
 * them. What an unfinished run has started is left to the run.
 */
function findStrangers(
  isUnfinished: (runId: string) => boolean,
  onRecord: ReadonlySet<string>,
  { processes, layout }: LocalEngineParts,
): readonly string[] {
  return processes.runningBelow(layout.runsFolder).filter((folder) => {
    const [runId = ""] = relative(layout.runsFolder, folder).split("/");
    return !onRecord.has(folder) && !isUnfinished(runId);
  });
}

/** One that can't be ended now is found again by the next server. */
async function endStranger(folder: string, { processes }: LocalEngineParts): Promise<void> {
  try {
    await (await processes.adopt(folder))?.stop({ graceMs: 10_000 });
    await rm(join(dirname(folder), "work"), { recursive: true, force: true });
  } catch {}
}

/** References to logs are paths relative to the home folder. */
export function logReferences(home: string): LocalEngineParts["logReference"] {
  return (file) => relative(home, join(file));
}
