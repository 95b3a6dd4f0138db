/**
 * A server of a home folder with nothing behind it, as a program: HOME VERSION [MILLISECONDS TO START | "fail"
 * [MILLISECONDS UNTIL ITS SERVICE IS BACK [API SETTINGS AS JSON]]]. It is what server-control finds, starts and replaces.
 */

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseSettings } from "../../../src/core/settings.ts";
import { runServer } from "../../../src/http/run-server.ts";
import { createServerAdmin } from "../../../src/operations/server-admin.ts";
import { openStore } from "../../../src/store/sqlite-store.ts";
import { testAdmin, testOperations } from "./test-actions.ts";

const [home = "", version = "", start = "0", back = "0", api = "{}"] = process.argv.slice(2);
const ended = new AbortController();
process.once("SIGTERM", () => ended.abort());

const served = await runServer({
  home,
  version,
  listen: undefined,
  ended: ended.signal,
  report: (text) => process.stdout.write(`${text}\n`),
  async makeParts() {
    if (start === "fail") throw new Error("the store is damaged");
    let listens = "127.0.0.1:8080";
    const backAt = performance.now() + Number(start) + Number(back);
    const store = openStore(join(home, "store.db"));
    return {
      operations: testOperations(),
      admin: createServerAdmin({ ...testAdmin(), store, now: () => new Date() }),
      access: store,
      api: parseSettings(JSON.stringify({ api: JSON.parse(api) }), "settings.yaml").api,
      fault: (doing, error) => process.stdout.write(`${doing}: ${error}\n`),
      takeUp: () => sleep(Number(start)),
      resume() {},
      ingress: () => ({ ingress: `http://${listens}`, ingressRunning: true }),
      comingBack: () => (performance.now() < backAt ? ["story/serve"] : []),
      readiness: () => [],
      async listen(address) {
        listens = address;
      },
      async stopServices() {
        process.stdout.write("services stopped\n");
      },
      async close() {
        store.close();
      },
    };
  },
}).catch((error: unknown) => {
  process.stdout.write(`${error}\n`); // As a command says it: in a line.
  process.exit(1);
});
process.stdout.write(served ? "ended\n" : "gave way\n");
process.exit(0);
