import { join } from "node:path";
import { expect, test } from "vitest";
import { cutPower, type DiskCall, type PowerCutOptions, readDiskLog, recorded } from "../support/disk-log.ts";
import { createRandom } from "../support/random.ts";
import { seed, shareOf, tellCount, times } from "../support/soak.ts";
import { needStrace } from "../support/strace.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { acknowledged, lost, runWriter } from "./support/store-writer-runs.ts";

const cuts = times(60, 1_000);

test(`the power cut at any moment (${cuts} times), with what was not synced half written or not at all: no acknowledged row is lost`, {
  timeout: 1_200_000,
}, async (context) => {
  await needStrace(context);
  const recordings = [await recordWriter("restarts", 12), await recordWriter("steady", 40)];
  let done = 0;
  for (let time = 0; time < cuts; time += 1) {
    const recording = recordings[time % 2] as Recording;
    const after = await afterPowerCut(recording, seed + time);
    expect(after.lost, `seed ${seed + time}`).toEqual([]);
    done += after.acknowledged;
  }
  tellCount(context, `${cuts} cuts; lost: ${shareOf(0, done)} acknowledged`);
});

test("control: on a disk that does not store the log when it says so, rows are lost", async (context) => {
  await needStrace(context);
  const recording = await recordWriter("steady", 6);
  let losses = 0;
  for (let time = 0; time < 10; time += 1) {
    const after = await afterPowerCut(recording, seed + time, { lies: (file) => file.endsWith("-wal") });
    losses += after.lost.length;
  }
  expect(losses).toBeGreaterThan(0);
});

interface Recording {
  readonly calls: readonly DiskCall[];
}

async function recordWriter(mode: "restarts" | "steady", last: number): Promise<Recording> {
  const folder = temporaryFolder("store");
  const log = join(temporaryFolder("log"), "calls");
  const { exitCode, stderr } = await runWriter(join(folder, "store.db"), {
    before: recorded(log),
    mode,
    last,
  });
  expect(exitCode, stderr).toBe(0);
  return { calls: readDiskLog(log, folder) };
}

/** What is lost of what had been acknowledged at a moment by chance. */
async function afterPowerCut({ calls }: Recording, seed: number, options: PowerCutOptions = {}) {
  const random = createRandom(seed);
  const until = calls.slice(0, random.below(calls.length));
  const told = until.flatMap((call) => (call.kind === "told" ? call.text.trim().split("\n") : []));
  const folder = temporaryFolder("cut");
  cutPower(until, folder, random, options);
  return { acknowledged: acknowledged(told).length, lost: lostOrDamaged(join(folder, "store.db"), told) };
}

function lostOrDamaged(file: string, told: readonly string[]): readonly string[] {
  try {
    return lost(file, told);
  } catch (error) {
    return [String(error)];
  }
}
