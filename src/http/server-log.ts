import { type Logger, pino, stdTimeFunctions } from "pino";

import { asFailure, type Failure } from "../core/failure.ts";
import { finishedJobStatuses, type Job } from "../core/job-state.ts";
import { finishedRunStatuses, type Run, type ServiceStatus } from "../core/run-state.ts";
import type { LogOutput } from "../lib/capped-log.ts";
import type { StoreNews } from "../operations/watch-store.ts";
import type { AuditEntry } from "../ports/access-store.ts";

/**
 * The server's log: one JSON object a line, with `time` (ISO 8601), `level` and `msg`, and what it is about (`run`,
 * `deployment`, `service`, `cronjob`) where there is such. What it tells has been masked for the record already; it
 * never holds a request's body, a token or a value of a secret. `error` is for faults of the server itself.
 */
export interface ServerLog {
  started(server: { readonly version: string; readonly ingress: string | undefined }): void;
  /** The server ends before it has begun. */
  notStarted(failure: Failure): void;
  stopped(): void;
  /** Of `watchStore`: runs accepted and ended, due times, jobs, services restarted, tokens refused. */
  observe(news: StoreNews): void;
  /** Something went on differently: the ingress has moved, a certificate was changed. */
  notice(text: string): void;
  /** What went wrong and is nobody's fault but ours; `doing` says in what. */
  fault(doing: string, error: unknown): void;
}

export function createServerLog(output: LogOutput): ServerLog {
  const log = pino(
    { base: null, timestamp: stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    output,
  );
  return {
    started: (server) => log.info(server, "The server has started."),
    notStarted: ({ code, message, hint, details }) => log.fatal({ code, hint, details }, message),
    stopped: () => log.info("The server ends."),
    observe(news) {
      if (news.kind === "run") tellRun(log, news.run);
      if (news.kind === "job") tellJob(log, news.job);
      if (news.kind === "service") tellService(log, news.service, news.before);
      if (news.kind === "audit") tellRefusal(log, news.entry);
    },
    notice: (text) => log.warn(text),
    fault(doing, error) {
      const { kind, code, message } = asFailure(error);
      const stack = kind === "bug" && error instanceof Error ? error.stack : undefined;
      log.error({ code, ...(stack === undefined ? {} : { stack }) }, `${doing}: ${message}`);
    },
  };
}

function tellRun(log: Logger, run: Run): void {
  const { id, namespace, deployment, status, reason, code, request, release } = run;
  const about = { run: id, namespace, deployment };
  if (status === "queued") {
    const { url, branch, startedBy, job } = request;
    log.info({ ...about, url, branch, startedBy, job }, `Run ${id} was accepted.`);
  } else if (finishedRunStatuses.has(status)) {
    const ending = `Run ${id} ${status === "cancelled" ? "was cancelled" : status}`;
    const told = { ...about, status, reason, code, release };
    if (status === "failed") log.warn(told, `${ending}: ${reason}`);
    else log.info(told, `${ending}.`);
  }
}

function tellJob(log: Logger, { id, cronjob, dueAt, status, why, runs }: Job): void {
  const about = { job: id, cronjob, dueAt, status, why };
  if (status === "skipped" || status === "missed") {
    log.warn(about, `The due time ${dueAt} of cronjob=${cronjob} was ${status}: ${why}`);
  } else if (status === "waiting" && runs.length === 0) {
    log.info(
      about,
      cronjob === undefined ? `Job ${id} was accepted.` : `Job ${id} of cronjob=${cronjob} is due.`,
    );
  } else if (finishedJobStatuses.has(status)) {
    const ending = `Job ${id} ${status === "cancelled" ? "was cancelled" : status}`;
    if (status === "failed") log.warn(about, `${ending}: ${why}`);
    else log.info(about, `${ending}.`);
  }
}

function tellService(log: Logger, service: ServiceStatus, before: ServiceStatus | undefined): void {
  const { namespace, deployment, name, release, state, restarts, reason } = service;
  const about = { namespace, deployment, service: name, release, state, restarts, reason };
  const named = `the service ${namespace}/${name}`;
  // The replicas of another release begin at 0.
  if (before?.release === release && restarts > before.restarts) {
    log.warn(about, `A replica of ${named} is started again (restarts so far: ${restarts}): ${reason}`);
  }
  if (state === before?.state) return;
  if (state === "crash-loop") log.warn(about, `A replica of ${named} crashes over and over: ${reason}`);
  else if (state === "serving") log.info(about, `All replicas of ${named} take requests.`);
}

function tellRefusal(log: Logger, { who, from, what, on, result }: AuditEntry): void {
  if (what !== "refused token") return;
  log.warn({ who, from, on, code: result }, `A token was refused: ${who} from ${from} on ${on}.`);
}
