import { spawnSync } from "node:child_process";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "vitest";
import { temporaryFolder } from "./temporary.ts";

/** A clock that the test sets, for programs that are started with its variables; it goes on as the real one does. */
export interface FakeTime {
  readonly variables: Readonly<Record<string, string>>;
  /** ISO 8601. Programs that run see it at once; whoever sleeps sleeps on. */
  set(time: string): void;
  now(): Date;
}

/** Skips the test, and says so, where there is no libfaketime. */
export function fakeTime(context: TestContext, start: string): FakeTime {
  const { status, stdout } = spawnSync("faketime", ["-f", "+0", "printenv", "LD_PRELOAD"], {
    encoding: "utf8",
  });
  if (status !== 0) context.skip("due times are too far apart without faketime: apt-get install faketime");
  const file = join(temporaryFolder("time"), "offset");
  let ahead = 0;
  const time: FakeTime = {
    variables: {
      LD_PRELOAD: stdout.trim(),
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      NO_FAKE_STAT: "1",
    },
    set(to) {
      ahead = Date.parse(to) - Date.now();
      // Renamed, for it is read at any time.
      writeFileSync(`${file}.new`, `${ahead < 0 ? "" : "+"}${(ahead / 1000).toFixed(3)}\n`);
      renameSync(`${file}.new`, file);
    },
    now: () => new Date(Date.now() + ahead),
  };
  time.set(start);
  return time;
}
