import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import { openReader, openStore } from "../../src/store/sqlite-store.ts";
import { createRandom } from "../support/random.ts";
import { seed, shareOf, tellCount, times } from "../support/soak.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { aCronjob, aDeployment, aJob, aRelease, aRun, aStage } from "./records.ts";

const tries = times(150, 3000);

test(`a store with flipped bits (${tries} times) is refused in plain words, or answers as before`, (context) => {
  const file = fullStore();
  const { refused, same, different, crashes } = flipBits(file, tries);
  expect(crashes).toEqual([]);
  // What the keys of the tables say is in no checksum of ours, nor of SQLite's.
  expect(different / tries).toBeLessThan(0.04);
  tellCount(context, `${refused} refused, ${same} unharmed, wrong answers: ${shareOf(different, tries)}`);
}, 600_000);

test("control: without the checksums of the records, many wrong answers come out of it", () => {
  const file = fullStore();
  const database = new DatabaseSync(file);
  for (const table of ["runs", "stages", "events", "releases", "deployments", "cronjobs", "jobs"]) {
    database.exec(`UPDATE ${table} SET document = json_remove(document, '$."$sum"')`);
  }
  database.close();
  const { different, crashes } = flipBits(file, 150);
  expect(different + crashes.length).toBeGreaterThan(15);
});

interface Outcomes {
  readonly refused: number;
  readonly same: number;
  readonly different: number;
  /** Errors that are no refusal. */
  readonly crashes: readonly string[];
}

function flipBits(file: string, count: number): Outcomes {
  const bytes = readFileSync(file);
  const before = contentOf(file);
  const outcomes = { refused: 0, same: 0, different: 0 };
  const crashes: string[] = [];
  for (let time = 0; time < count; time += 1) {
    const random = createRandom(seed + time);
    const damaged = Buffer.from(bytes);
    const reach = random.chance(0.2) ? 100 : damaged.length; // The header more often than its size would have it.
    for (let flips = 1 + random.below(4); flips > 0; flips -= 1) {
      const at = random.below(reach);
      damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << random.below(8)), at);
    }
    const copy = join(temporaryFolder("flipped"), "store.db");
    writeFileSync(copy, damaged);
    try {
      outcomes[outcomeOf(copy, before)] += 1;
    } catch (error) {
      crashes.push(`seed ${seed + time}: ${error}`);
    }
  }
  return { ...outcomes, crashes };
}

function outcomeOf(file: string, before: string): "refused" | "same" | "different" {
  try {
    openReader(file)?.close();
    return contentOf(file) === before ? "same" : "different";
  } catch (error) {
    if (error instanceof Failure && /^(store-damaged|version-mismatch)$/.test(error.code)) return "refused";
    throw error;
  }
}

function fullStore(): string {
  const file = join(temporaryFolder("store"), "store.db");
  const store = openStore(file);
  for (let number = 0; number < 20; number += 1) {
    const id = String(number);
    store.saveRun(aRun(id, { stages: [aStage("one"), aStage("two")] }), {
      event: { kind: "notice", level: "info", text: id },
      at: new Date(0),
    });
    store.saveRelease(aRelease(number), aDeployment(number));
    store.saveCronjob(aCronjob(id));
    store.addJob(aJob(id, { cronjob: id }));
  }
  store.close();
  return file;
}

function contentOf(file: string): string {
  const store = openStore(file);
  try {
    const runs = store.runs({});
    const events = runs.map(({ id }) => store.events(id, 0));
    const releases = store.releases("ml", "iris");
    return JSON.stringify([runs, events, releases, store.deployments(), store.cronjobs(), store.jobs({})]);
  } finally {
    store.close();
  }
}
