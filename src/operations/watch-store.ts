import type { Job } from "../core/job-state.ts";
import type { Run, ServiceStatus } from "../core/run-state.ts";
import type { AuditEntry } from "../ports/access-store.ts";
import type { Store } from "../ports/store.ts";

/** What has just been stored. */
export type StoreNews =
  /** It is new, or its status is. */
  | { readonly kind: "run"; readonly run: Run }
  /** It is new, or its status is. */
  | { readonly kind: "job"; readonly job: Job }
  /** `before` is what was stored last; undefined for a service that is new. */
  | {
      readonly kind: "service";
      readonly service: ServiceStatus;
      readonly before: ServiceStatus | undefined;
    }
  | { readonly kind: "audit"; readonly entry: AuditEntry };

/**
 * The same store, which tells what is stored as soon as it is: nobody hears of what a crash can undo. What a watcher
 * throws goes to `onFault`: the one who stores has nothing to do with it.
 */
export function watchStore(
  store: Store,
  watchers: readonly ((news: StoreNews) => void)[],
  onFault: (error: unknown) => void,
): Store {
  const services = new Map(
    store.services().map((service) => [keyOf(service.namespace, service.stage), service]),
  );
  const tell = (news: StoreNews): void => {
    for (const watch of watchers) {
      try {
        watch(news);
      } catch (error) {
        onFault(error);
      }
    }
  };
  return {
    ...store,
    saveRun(run, told) {
      const isNew = run.status === "queued" && store.run(run.id) === undefined;
      const stored = store.saveRun(run, told);
      if (isNew || told?.event.kind === "run") tell({ kind: "run", run });
      return stored;
    },
    addJob(job) {
      const added = store.addJob(job);
      if (added) tell({ kind: "job", job });
      return added;
    },
    saveJob(job) {
      const before = store.job(job.id)?.status;
      store.saveJob(job);
      if (job.status !== before) tell({ kind: "job", job });
    },
    saveJobs(jobs) {
      const before = new Map(jobs.map(({ id }) => [id, store.job(id)?.status]));
      store.saveJobs(jobs);
      for (const job of jobs) if (job.status !== before.get(job.id)) tell({ kind: "job", job });
    },
    decideDueTimes(decisions) {
      const added = store.decideDueTimes(decisions);
      for (const job of added) tell({ kind: "job", job });
      return added;
    },
    saveServiceStatus(service) {
      const key = keyOf(service.namespace, service.stage);
      store.saveServiceStatus(service);
      tell({ kind: "service", service, before: services.get(key) });
      services.set(key, service);
    },
    removeServiceStatus(namespace, stage) {
      store.removeServiceStatus(namespace, stage);
      services.delete(keyOf(namespace, stage));
    },
    addAuditEntry(entry) {
      store.addAuditEntry(entry);
      tell({ kind: "audit", entry });
    },
  };
}

function keyOf(namespace: string, stage: string): string {
  return `${namespace}/${stage}`;
}
