import { join } from "node:path";
import { onTestFinished, test } from "vitest";
import { systemClock } from "../../src/lib/system-clock.ts";
import type { Clock } from "../../src/ports/clock.ts";
import { createScheduler } from "../../src/scheduler/scheduler.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { aCronjob } from "../support/cronjobs.ts";
import { soaking, tellCount } from "../support/soak.ts";
import { temporaryFolder } from "../support/temporary.ts";

const cronjobs = 500;
/** Milliseconds. The promise is a second; beside other tests only a hang is a fault. */
const latest = soaking ? 1_000 : 20_000;

test(`${cronjobs} cronjobs that are all due at one minute start in time, each once, on a real store and clock`, {
  timeout: 90_000,
}, async (context) => {
  const store = openStore(join(temporaryFolder("store"), "store.db"));
  onTestFinished(() => store.close());
  const clock = clockBefore(3_000);
  for (let count = 0; count < cronjobs; count += 1) {
    const decidedUntil = clock.now().toISOString();
    store.saveCronjob(aCronjob({ name: `train-${count}`, schedule: "* * * * *", decidedUntil }));
  }
  const late = new Map<string, number>();
  const { promise: allStarted, resolve } = Promise.withResolvers<void>();
  const scheduler = createScheduler({
    store,
    clock,
    jobs: {
      start(job) {
        const now = clock.now();
        if (late.has(job.id)) throw new Error(`${job.id} started twice`);
        late.set(job.id, now.getTime() - Date.parse(job.dueAt));
        store.saveJob({ ...job, status: "active", startedAt: now.toISOString() });
        if (late.size === cronjobs) resolve();
      },
      cancel: async () => {},
      tidyUp: async () => {},
    },
    onFault: (error) => {
      throw error;
    },
  });
  scheduler.start();
  await allStarted;
  await scheduler.stop();
  const sorted = [...late.values()].sort((a, b) => a - b);
  const p99 = sorted[Math.ceil(cronjobs * 0.99) - 1] ?? Number.POSITIVE_INFINITY;
  tellCount(
    context,
    `lateness of ${cronjobs} cronjobs due at once: p50 ${sorted[cronjobs / 2]} ms, p99 ${p99} ms, none before its time`,
  );
  if ((sorted[0] ?? -1) < 0) throw new Error(`one started ${-(sorted[0] ?? 0)} ms too early`);
  if (p99 >= latest) throw new Error(`p99 is ${p99} ms`);
});

/** The machine's clock, but for its minute: the next one begins after so many milliseconds. */
function clockBefore(milliseconds: number): Clock {
  const ahead = 60_000 - milliseconds - (Date.now() % 60_000);
  return { ...systemClock, now: () => new Date(Date.now() + ahead) };
}
