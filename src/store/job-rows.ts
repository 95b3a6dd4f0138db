import { type Cronjob, finishedJobStatuses, type Job } from "../core/job-state.ts";
import type { JobStore } from "../ports/job-store.ts";
import { documentText } from "./document-text.ts";
import type { Rows } from "./rows.ts";

export function createJobRows({ write, one, all, together }: Rows): JobStore {
  return {
    cronjobs: () => all<Cronjob>("SELECT document FROM cronjobs ORDER BY name"),
    cronjob: (name) => one<Cronjob>("SELECT document FROM cronjobs WHERE name = ?", name),
    job: (id) => one<Job>("SELECT document FROM jobs WHERE id = ?", id),
    jobs: ({ cronjob, limit }) =>
      cronjob === undefined
        ? all<Job>(`SELECT document FROM jobs ${newestFirst}`, limit ?? -1)
        : all<Job>(`SELECT document FROM jobs WHERE cronjob IS ? ${newestFirst}`, cronjob, limit ?? -1),
    unfinishedJobs: () => all<Job>("SELECT document FROM jobs WHERE finished = 0 ORDER BY due_at, rowid"),

    saveCronjob,
    removeCronjob: (name) =>
      together(() => {
        write("DELETE FROM jobs WHERE cronjob = ?", name);
        write("DELETE FROM cronjobs WHERE name = ?", name);
      }),
    addJob,
    saveJob,
    saveJobs: (jobs) => together(() => jobs.forEach(saveJob)),
    removeJob: (id) => {
      write("DELETE FROM jobs WHERE id = ?", id);
    },
    decideDueTimes: (decisions) =>
      together(() =>
        decisions.flatMap(({ cronjob, jobs }) => {
          saveCronjob(cronjob);
          return jobs.filter(addJob);
        }),
      ),
  };

  function saveCronjob(cronjob: Cronjob): void {
    write(
      "INSERT OR REPLACE INTO cronjobs (name, document) VALUES (?, ?)",
      cronjob.name,
      documentText(cronjob),
    );
  }

  function addJob(job: Job): boolean {
    return write(`${insertJob} ON CONFLICT (id) DO NOTHING`, ...columnsOf(job)) > 0;
  }

  function saveJob(job: Job): void {
    write(
      `${insertJob} ON CONFLICT (id) DO UPDATE SET cronjob = excluded.cronjob, due_at = excluded.due_at,
       finished = excluded.finished, document = excluded.document`,
      ...columnsOf(job),
    );
  }
}

/** Of those due at the same moment, the one added last. */
const newestFirst = "ORDER BY due_at DESC, rowid DESC LIMIT ?";

const insertJob = "INSERT INTO jobs (id, cronjob, due_at, finished, document) VALUES (?, ?, ?, ?, ?)";

function columnsOf(job: Job) {
  return [
    job.id,
    job.cronjob ?? null,
    Date.parse(job.dueAt),
    finishedJobStatuses.has(job.status) ? 1 : 0,
    documentText(job),
  ] as const;
}
