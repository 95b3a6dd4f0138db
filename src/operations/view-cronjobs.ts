import { nextDueTimes } from "../core/cron/due-times.ts";
import { parseSchedule } from "../core/cron/parse-schedule.ts";
import { scheduleInWords } from "../core/cron/words.ts";
import type { Cronjob, Job } from "../core/job-state.ts";
import type { JobReader } from "../ports/job-store.ts";
import type { CronjobView } from "./operations.ts";
import type { ViewParts } from "./views.ts";

/** Due times that are told in advance. */
const toldTimes = 3;

/** `Views.cronjobs`. */
export function viewCronjobs(
  { name }: { readonly name?: string | undefined },
  { read, now }: Pick<ViewParts, "read" | "now">,
): readonly CronjobView[] {
  const found = read((store) => {
    const cronjobs = store.cronjobs().filter((cronjob) => name === undefined || cronjob.name === name);
    return cronjobs.map((cronjob) => ({ cronjob, lastJob: lastStarted(cronjob, store) }));
  }, []);
  return found.map(({ cronjob, lastJob }) => ({
    ...cronjob,
    nextTimes: nextTimes(cronjob, now()),
    words: scheduleInWords(cronjob.schedule),
    lastJob,
  }));
}

/** Most often it is among the newest few, and a cronjob has up to a thousand. */
function lastStarted({ name }: Cronjob, store: JobReader): Job | undefined {
  for (const limit of [5, undefined]) {
    const started = store.jobs({ cronjob: name, limit }).find(({ startedAt }) => startedAt !== undefined);
    if (started !== undefined) return started;
  }
  return undefined;
}

function nextTimes({ schedule: text, timezone, suspended }: Cronjob, now: Date): readonly string[] {
  const { schedule } = parseSchedule(text);
  if (suspended || schedule === undefined) return [];
  return nextDueTimes(schedule, timezone, now, toldTimes).map((time) => time.toISOString());
}
