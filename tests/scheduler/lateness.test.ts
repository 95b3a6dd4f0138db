import { onTestFinished, test } from "vitest";
import { systemClock } from "../../src/lib/system-clock.ts";
import type { Clock } from "../../src/ports/clock.ts";
import { createScheduler } from "../../src/scheduler/scheduler.ts";
import { aCronjob } from "../support/cronjobs.ts";
import { projectUrl, serverOf, world } from "../support/operations-harness.ts";
import { project } from "../support/project-text.ts";
import { soaking, tellCount } from "../support/soak.ts";

const cronjobs = 500;
/** Milliseconds. The promise is a second; beside other tests only a hang is a fault. */
const latest = soaking ? 1_000 : 20_000;

test(`${cronjobs} cronjobs that are all due at one minute start in time, each once, on a real store and clock`, {
  timeout: 120_000,
}, async (context) => {
  const clock = clockBefore(3_000);
  const the = world({ clock });
  the.machine.behaviours.set("a", { does: "wait" });
  const server = serverOf(the);
  onTestFinished(() => server.store.close());
  const decidedUntil = clock.now().toISOString();
  const all = Array.from({ length: cronjobs }, (_, count) => {
    const name = `train-${count}`;
    const request = { ...aCronjob().request, url: `${projectUrl}-${count}` };
    the.source.push(request.url, project("a", { a: "batch" }, { name }));
    return aCronjob({ name, schedule: "* * * * *", decidedUntil, request });
  });
  server.store.decideDueTimes(all.map((cronjob) => ({ cronjob, jobs: [] })));
  const scheduler = createScheduler({
    ...{ store: server.store, jobs: server.jobs, clock },
    onFault: (error) => {
      throw error;
    },
  });
  scheduler.start();
  while (server.store.unfinishedRuns().length < cronjobs) await clock.sleep(50);
  await scheduler.stop();

  const jobs = server.store.jobs({}).filter(({ startedAt }) => startedAt !== undefined);
  const late = sorted(jobs.map(({ startedAt = "", dueAt }) => Date.parse(startedAt) - Date.parse(dueAt)));
  const runs = server.store.unfinishedRuns();
  const dueAt = Date.parse(jobs[0]?.dueAt ?? "");
  const recorded = sorted(runs.map(({ createdAt }) => Date.parse(createdAt) - dueAt));
  tellCount(
    context,
    `lateness of ${cronjobs} cronjobs due at once: p50 ${late[cronjobs / 2]} ms, p99 ${percentile99(late)} ms, none before its time; the last run on record after ${recorded.at(-1)} ms`,
  );
  if (new Set(runs.map(({ request }) => request.job)).size !== cronjobs) throw new Error("not each once");
  if ((late[0] ?? -1) < 0) throw new Error(`one started ${-(late[0] ?? 0)} ms too early`);
  if (percentile99(late) >= latest) throw new Error(`p99 is ${percentile99(late)} ms`);
});

function sorted(numbers: readonly number[]): readonly number[] {
  return numbers.toSorted((a, b) => a - b);
}

function percentile99(inOrder: readonly number[]): number {
  return inOrder[Math.ceil(cronjobs * 0.99) - 1] ?? Number.POSITIVE_INFINITY;
}

/** The machine's clock, but for its minute: the next one begins after so many milliseconds. */
function clockBefore(milliseconds: number): Clock {
  const ahead = 60_000 - milliseconds - (Date.now() % 60_000);
  return { ...systemClock, now: () => new Date(Date.now() + ahead) };
}
