/** Rotates the master key of a home folder, in a process that may be killed: `node rotate-once.ts HOME`. */

import { setImmediate } from "node:timers/promises";

import { openStore } from "../../../src/store/sqlite-store.ts";
import { openHome } from "./home.ts";

const [home = ""] = process.argv.slice(2);
const { rotateKey } = await openHome(home, openStore);
// From here on each step counts.
process.kill(process.pid, "SIGUSR2");
await setImmediate();
rotateKey();
