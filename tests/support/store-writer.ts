/**
 * A process that writes to a store and says what was acknowledged, one line each: `done KIND NUMBER`; `refused CODE` when
 * a write failed.
 *
 *   node store-writer.ts FILE FIRST LAST [restarts | naive | steady]
 *
 * LAST 0 is never reached. Restarts: opens the store anew from time to time, as servers come and go. Naive: the same, but
 * it says that a row is stored before it is. Steady: goes on with one server.
 */

import { writeSync } from "node:fs";
import { Failure } from "../../src/core/failure.ts";
import type { Store } from "../../src/ports/store.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { storeWrites } from "./store-writes.ts";

const [file = "", first, last, mode] = process.argv.slice(2);
const isNaive = mode === "naive";
const writesOfOneServer = mode === "steady" ? Number.POSITIVE_INFINITY : 4;

let store: Store | undefined;
for (let number = Number(first); number !== Number(last) + 1; number += 1) {
  for (const [kind, { write }] of Object.entries(storeWrites)) {
    attempt(() => {
      store ??= openStore(file);
      if (isNaive) tell(`done ${kind} ${number}`);
      write(store, number);
      if (!isNaive) tell(`done ${kind} ${number}`);
    });
  }
  if (number % writesOfOneServer !== 0) continue;
  attempt(() => store?.close());
  store = undefined;
}

/** What is no refusal in plain words ends the program. */
function attempt(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    tell(`refused ${error.code}`);
  }
}

function tell(line: string): void {
  writeSync(1, `${line}\n`);
}
