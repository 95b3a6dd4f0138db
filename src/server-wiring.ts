/**
 * The server's part of the composition root: everything that a server looks after, put together. Only wiring.ts knows it.
 */

import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { createArtifactStore } from "./artifacts/artifact-store.ts";
import { stageMachineVariables } from "./core/machine-environment.ts";
import type { Settings } from "./core/settings.ts";
import { createAddresses } from "./engines/local/addresses.ts";
import { createIngress } from "./engines/local/ingress/ingress.ts";
import { createLayout } from "./engines/local/layout.ts";
import { createLocalEngine, logReferences } from "./engines/local/local-engine.ts";
import { createNames } from "./engines/local/names.ts";
import { createLogReader } from "./engines/local/processes/follow-log.ts";
import { createProcesses } from "./engines/local/processes/processes.ts";
import { createBackupStream } from "./http/backup-stream.ts";
import { createReadiness } from "./http/readiness.ts";
import type { ServerParts } from "./http/run-server.ts";
import type { ServerLog } from "./http/server-log.ts";
import { systemClock } from "./lib/system-clock.ts";
import { createCronjobActions } from "./operations/cronjob-actions.ts";
import { createJobs } from "./operations/jobs.ts";
import { createMetrics } from "./operations/metrics/metrics.ts";
import { createRunActions } from "./operations/run-actions.ts";
import { createRunFeed } from "./operations/run-feed.ts";
import { createSecretActions } from "./operations/secret-actions.ts";
import { createServerAdmin } from "./operations/server-admin.ts";
import { sweepSecrets } from "./operations/sweep.ts";
import { createViews } from "./operations/views.ts";
import { watchStore } from "./operations/watch-store.ts";
import type { Environments } from "./ports/environments.ts";
import type { Source } from "./ports/source.ts";
import { createScheduler } from "./scheduler/scheduler.ts";
import { masterKeySources } from "./secrets/key-sources.ts";
import { openSecrets } from "./secrets/open-secrets.ts";
import { openStore } from "./store/sqlite-store.ts";

export interface ServerWiring {
  readonly home: string;
  readonly version: string;
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly settings: Settings;
  readonly source: Source;
  readonly environments: Environments;
  /** Of the stages; the server's own is stricter. */
  readonly stagesUmask: number;
  readonly log: ServerLog;
}

/** Milliseconds that jobs which were taken up have to end, before due times are decided. */
const settleTime = 5_000;

export async function createServerParts(wiring: ServerWiring): Promise<ServerParts> {
  const { home, version, variables, settings, source, log } = wiring;
  const openedStore = openStore(join(home, "store.db"));
  const metrics = createMetrics({
    store: openedStore,
    engine: { services: () => engine.services() },
    ingressStats: () => ingress.stats(),
    clock: systemClock,
  });
  const store = watchStore(openedStore, [metrics.observe, log.observe], (error) =>
    log.fault("Cannot tell what was stored", error),
  );
  const environments = metrics.watchEnvironments(wiring.environments);
  const opened = await openSecrets(masterKeySources(home, variables, settings), store, systemClock);
  const { secrets } = opened;
  const layout = createLayout(home);
  const stageVariables = stageMachineVariables(variables);
  const artifacts = createArtifactStore({ folder: join(home, "artifacts") });
  const processes = await createProcesses({ stateFolder: join(home, "spawner"), umask: wiring.stagesUmask });
  const ingress = createIngress({
    folder: layout.ingressFolder,
    version,
    setting: settings.listen,
    notify: log.notice,
  });
  const engine = createLocalEngine({
    layout,
    store,
    source,
    artifacts,
    secrets,
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
  const logs = createLogReader(home);
  const actions = createRunActions(
    {
      store,
      source,
      environments,
      artifacts,
      engine,
      secrets,
      secretReader: store,
      clock: systemClock,
      maxParallelRuns: settings.max_parallel_runs,
      maxUnfinishedRuns: 1_000,
      maxParallelStages: settings.max_parallel_stages ?? Math.max(8, 2 * availableParallelism()),
    },
    createRunFeed(store, logs, systemClock.now),
  );
  const jobs = createJobs({
    store,
    source,
    engine,
    secrets,
    clock: systemClock,
    runs: actions,
    retryDelaySeconds: settings.jobs.retry_delay_seconds,
    onEnd: () => scheduler.wake(),
  });
  const scheduler = createScheduler({
    store,
    jobs,
    clock: systemClock,
    onFault: (error) => log.fault("Cannot look after the cronjobs", error),
  });
  const views = createViews({
    read: (look) => look(store),
    logs,
    environments: async () => environments,
    correct: (service) => service,
    sleep: systemClock.sleep,
    now: systemClock.now,
  });
  const ingressStatus = () => ({
    ingress: ingress.publicUrl(),
    ingressNote: ingress.note(),
    ingressRunning: ingress.running(),
  });

  return {
    operations: {
      ...views,
      ...actions,
      ...jobs,
      ...createCronjobActions({ store, jobs, source, secrets, clock: systemClock, wake: scheduler.wake }),
      ...createSecretActions(secrets, store, () => sweepSecrets({ store, engine, secrets })),
    },
    admin: createServerAdmin({
      store,
      now: systemClock.now,
      backup: createBackupStream(join(home, "backups"), store.backup),
      rotateKey: async () => opened.rotateKey(),
    }),
    access: store,
    api: settings.api,
    async takeUp() {
      await ingress.start();
      await engine.takeUp((runId) => store.unfinishedRuns().some(({ id }) => id === runId));
    },
    resume() {
      actions.resume();
      // What ended while no server ran is known in a moment: no due time is to be skipped because of it.
      void Promise.race([jobs.resume(), systemClock.sleep(settleTime)]).then(scheduler.start);
      log.started({ version, ingress: ingress.publicUrl() });
    },
    metrics: metrics.text,
    fault: log.fault,
    ingress: ingressStatus,
    comingBack: () => engine.comingBack().map(({ namespace, stage }) => `${namespace}/${stage}`),
    readiness: createReadiness({
      probeStore: () => store.saveDocument("probe", "probe", { at: systemClock.now().toISOString() }),
      ingressNote: ingress.note,
      now: systemClock.monotonic,
    }),
    listen: ingress.listen,
    async stopServices() {
      await actions.cancelAll("server stop --services");
      await engine.stopServices();
      await ingress.stop();
    },
    async close() {
      await scheduler.stop();
      log.stopped();
      ingress.release();
      processes.close();
      store.close();
    },
  };
}
