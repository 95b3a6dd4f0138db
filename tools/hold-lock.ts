/**
 * `node hold-lock.ts PATH`: takes the lock, prints `held` (before it `waiting`, when another has it) and holds it until
 * its standard input ends, which is also when its parent is gone.
 */

import { acquireLock } from "../src/lib/process-lock.ts";

const [path = ""] = process.argv.slice(2);
// Ctrl-C reaches the whole group; the parent still cleans up, and lets go when it has.
process.on("SIGINT", () => {});

const letGo = new AbortController();
process.stdin.once("end", () => letGo.abort()).resume();
let waiting = false;
try {
  const lock = await acquireLock(path, { signal: letGo.signal, onWait: sayWaiting });
  letGo.signal.addEventListener("abort", () => lock.release());
  process.stdout.write("held\n");
} catch (error) {
  if (!letGo.signal.aborted) throw error;
}

function sayWaiting(): void {
  if (!waiting) process.stdout.write("waiting\n");
  waiting = true;
}
