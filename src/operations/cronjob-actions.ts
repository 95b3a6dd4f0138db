import { cronjobName } from "../core/cron/cronjob-name.ts";
import { type CronjobCheck, cronjobProblems, refuseCronjob } from "../core/cron/cronjob-problems.ts";
import { asFailure, Failure } from "../core/failure.ts";
import { type Cronjob, type CronjobSpec, finishedJobStatuses } from "../core/job-state.ts";
import type { Clock } from "../ports/clock.ts";
import type { JobStore } from "../ports/job-store.ts";
import type { RunReader } from "../ports/run-store.ts";
import type { Secrets } from "../ports/secrets.ts";
import type { Source } from "../ports/source.ts";
import type { Jobs } from "./jobs.ts";
import { keepSshKey, keptSshKey } from "./keep-ssh-key.ts";
import type { CronjobActions, RepositoryCredentials, SavedCronjob } from "./operations.ts";

export interface CronjobParts {
  readonly store: JobStore & RunReader;
  readonly jobs: Pick<Jobs, "deleteJob">;
  readonly source: Pick<Source, "check" | "resolve">;
  readonly secrets: Secrets;
  readonly clock: Clock;
  /** Lets the scheduler see what was changed. */
  readonly wake: () => void;
}

/** Cronjobs as the server keeps them. A name is found as it was given, too: it is sanitised each time. */
export function createCronjobActions({
  store,
  jobs,
  source,
  secrets,
  clock,
  wake,
}: CronjobParts): CronjobActions {
  return {
    async createCronjob(spec, credentials) {
      const wanted = { ...spec, name: cronjobName(spec.name), request: forCron(spec) };
      refuseCronjob("create", wanted.name, cronjobProblems(wanted, checkOf(credentials, source)));
      if (store.cronjob(wanted.name) !== undefined) throw alreadyThere(wanted.name);
      const now = clock.now().toISOString();
      const created = save({ ...wanted, createdAt: now, updatedAt: now, decidedUntil: now }, credentials);
      return lookedAt(created, credentials);
    },
    async updateCronjob(name, change, credentials) {
      const before = store.cronjob(cronjobName(name));
      if (before === undefined) throw notThere(cronjobName(name));
      const changed = { ...before, ...withoutUndefined(change) };
      const wanted = { ...changed, request: forCron(changed) };
      refuseCronjob("update", wanted.name, cronjobProblems(wanted, checkOf(credentials, source)));
      const updated = save({ ...wanted, ...decidedAfter(before, wanted, clock.now()) }, credentials);
      const { url, branch } = before.request;
      const isSame = url === updated.request.url && branch === updated.request.branch;
      return isSame && credentials === undefined ? updated : lookedAt(updated, credentials);
    },
    async deleteCronjob(name) {
      const found = store.cronjob(cronjobName(name));
      if (found === undefined) return { found: false };
      // The record goes last, so that a deletion that was cut short can be asked for again; until then nothing begins.
      store.saveCronjob({ ...found, suspended: true });
      const cancelled: string[] = [];
      for (const { id, runs, status } of store.jobs({ cronjob: found.name })) {
        if (runs.length === 0 && finishedJobStatuses.has(status)) continue;
        cancelled.push(...((await jobs.deleteJob(id)).cancelled ?? []));
      }
      store.removeCronjob(found.name);
      wake();
      return { found: true, cancelled };
    },
  };

  function save(cronjob: Cronjob, credentials: RepositoryCredentials | undefined): Cronjob {
    const { group } = cronjob.request;
    if (credentials !== undefined && group !== undefined) keepSshKey(group, credentials.sshKey, secrets);
    store.saveCronjob(cronjob);
    wake();
    return cronjob;
  }

  /** It is kept whatever comes of the look: the repository may be there when it is due. */
  async function lookedAt(
    cronjob: Cronjob,
    credentials: RepositoryCredentials | undefined,
  ): Promise<SavedCronjob> {
    const { request } = cronjob;
    const late = AbortSignal.timeout(lookTime);
    try {
      const key = credentials?.sshKey ?? keptSshKey(request, store, secrets);
      const { url, branch: ref, acceptHostKey } = request;
      await source.resolve({ url, ref, sshKey: key?.reveal(), acceptHostKey }, late);
      return cronjob;
    } catch (error) {
      const { message, hint } = asFailure(error);
      const why = late.aborted
        ? `${request.url} was not read within ${lookTime / 1_000} s.`
        : [message, ...(hint === undefined ? [] : [hint])].join(" ");
      return { ...cronjob, warnings: [`As it is now, nothing can be deployed. ${why}`] };
    }
  }
}

/** Milliseconds that somebody waits to be told that a repository or branch is not there. */
const lookTime = 30_000;

function forCron({ request }: Pick<CronjobSpec, "request">): CronjobSpec["request"] {
  return { ...request, startedBy: "cron" };
}

/** Due times of another schedule that lie in the past were never due. */
function decidedAfter(
  before: Cronjob,
  { schedule, timezone }: CronjobSpec,
  now: Date,
): Pick<Cronjob, "updatedAt" | "decidedUntil"> {
  const updatedAt = now.toISOString();
  const isSame = schedule === before.schedule && timezone === before.timezone;
  const decidedUntil = isSame || before.decidedUntil > updatedAt ? before.decidedUntil : updatedAt;
  return { updatedAt, decidedUntil };
}

function withoutUndefined<T extends object>(change: T): Partial<T> {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function checkOf(
  credentials: RepositoryCredentials | undefined,
  source: Pick<Source, "check">,
): CronjobCheck {
  return { hasKey: credentials !== undefined, checkUrl: (url) => source.check(url) };
}

function alreadyThere(name: string): Failure {
  return new Failure("already-exists", `Cannot create cronjob=${name} as it already exists`, {
    hint: "Change it with: bodywork update cronjob",
  });
}

function notThere(name: string): Failure {
  return new Failure("not-found", `Could not find cronjob=${name}`, { hint: "bodywork get cronjobs" });
}
