import { join } from "node:path";
import { expect, test } from "vitest";
import { openStore } from "../../src/store/sqlite-store.ts";
import { createRandom, type Random } from "../support/random.ts";
import { seed, shareOf, soaking, tellCount, times } from "../support/soak.ts";
import { injections, needStrace, storeFiles, withFault } from "../support/strace.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { acknowledged, lost, refusals, runWriter } from "./support/store-writer-runs.ts";

const faults = [
  { name: "write errors", calls: "pwrite64", what: "error=EIO" },
  { name: "errors of fsync", calls: "fsync,fdatasync", what: "error=EIO" },
  { name: "full disks", calls: "pwrite64", what: "error=ENOSPC" },
] as const;

/** In a soak the fault is met at each call of the first so many; else at some of them. */
const calls = 200;
const sample = 4;
const runs = times(sample, calls);

test.for(faults)(
  `of a store whose writer meets $name, from one of its first ${calls} calls on (${runs} times), no acknowledged row is lost`,
  { timeout: 1_200_000 },
  async (fault, context) => {
    await needStrace(context);
    const total = { injected: 0, done: 0, refused: 0 };
    for (let time = 0; time < runs; time += 1) {
      const random = createRandom(seed + time);
      const file = newStore({ made: random.chance(0.8) });
      const log = `${file}.calls`;
      // Some pass at once, some come again and again, some stay.
      const when = `${callOf(time, random)}${random.pick(["", "+", "+7", "+50"])}`;
      const command = withFault({ files: storeFiles(file), ...fault, when, log });
      const { lines, stderr, exitCode } = await runWriter(file, { before: command });
      const where = `seed ${seed + time}, when=${when}`;
      expect(exitCode, `${where}: ${stderr}`).toBe(0);
      expect(lost(file, lines), where).toEqual([]);
      expect(refusals(lines).filter((code) => !/^(store-damaged|disk-full)$/.test(code))).toEqual([]);
      const injected = injections(log);
      expect(injected, where).toBeGreaterThan(0);
      total.injected += injected;
      total.done += acknowledged(lines).length;
      total.refused += refusals(lines).length;
    }
    expect(total.refused).toBeGreaterThan(0);
    tellCount(
      context,
      `${runs} writers, ${total.injected} errors, ${total.refused} writes refused; lost: ${shareOf(0, total.done)} acknowledged`,
    );
  },
);

test(`of a store whose writer is killed at one of its first ${calls} calls to the disk (${runs} times) no acknowledged row is lost`, {
  timeout: 1_200_000,
}, async (context) => {
  await needStrace(context);
  let done = 0;
  for (let time = 0; time < runs; time += 1) {
    const random = createRandom(seed + time);
    const file = newStore({ made: random.chance(0.8) });
    const when = String(callOf(time, random));
    const kill = { calls: "pwrite64,fsync,fdatasync,ftruncate,unlink", what: "signal=KILL" };
    const before = withFault({ files: storeFiles(file), ...kill, when, log: "/dev/null" });
    const { lines, exitCode } = await runWriter(file, { before });
    expect(exitCode, "it was killed").not.toBe(0);
    expect(lost(file, lines), `seed ${seed + time}, when=${when}`).toEqual([]);
    done += acknowledged(lines).length;
  }
  tellCount(context, `${runs} kills; lost: ${shareOf(0, done)} acknowledged`);
});

const kills = times(10, 500);

test(`of a store whose writer is killed at any moment (${kills} times) no acknowledged row is lost`, {
  timeout: 1_800_000,
}, async (context) => {
  let done = 0;
  let file = "";
  for (let time = 0; time < kills; time += 1) {
    const random = createRandom(seed + time);
    if (time % 10 === 0) file = newStore({ made: false });
    const { lines } = await runWriter(file, { first: 1 + time * 1000, killAfter: random.below(120) });
    expect(lost(file, lines), `seed ${seed + time}`).toEqual([]);
    done += acknowledged(lines).length;
  }
  expect(done).toBeGreaterThan(kills);
  tellCount(context, `${kills} kills; lost: ${shareOf(0, done)} acknowledged`);
});

test("control: a writer that says it is done before it is loses rows to errors and to kills", async (context) => {
  await needStrace(context);
  for (const fault of [
    { calls: "pwrite64", what: "error=EIO", when: "10+10" },
    { calls: "pwrite64", what: "error=ENOSPC", when: "10+10" },
    { calls: "fsync,fdatasync", what: "error=EIO", when: "10+10" },
    { calls: "pwrite64,fsync,fdatasync", what: "signal=KILL", when: "50" },
  ]) {
    const file = newStore({ made: true });
    const before = withFault({ files: storeFiles(file), log: "/dev/null", ...fault });
    const { lines } = await runWriter(file, { before, mode: "naive" });
    expect(lost(file, lines), fault.what).not.toEqual([]);
  }
});

function callOf(time: number, random: Random): number {
  return soaking ? time + 1 : 1 + random.below(calls);
}

/** The file; where it is made already, the first faults are not all met in making it. */
function newStore({ made }: { readonly made: boolean }): string {
  const file = join(temporaryFolder("store"), "store.db");
  if (made) openStore(file).close();
  return file;
}
