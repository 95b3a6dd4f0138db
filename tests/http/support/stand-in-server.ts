/**
 * A server of a home folder with nothing behind it, as a program: HOME VERSION [MILLISECONDS TO START | "fail"
 * [MILLISECONDS UNTIL ITS SERVICE IS BACK]]. It is what server-control finds, starts and replaces.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { runServer } from "../../../src/http/run-server.ts";
import { testActions } from "./test-actions.ts";

const [home = "", version = "", start = "0", back = "0"] = process.argv.slice(2);
const ended = new AbortController();
process.once("SIGTERM", () => ended.abort());

const served = await runServer({
  home,
  version,
  listen: undefined,
  ended: ended.signal,
  async makeParts() {
    if (start === "fail") throw new Error("the store is damaged");
    let listens = "127.0.0.1:8080";
    const backAt = performance.now() + Number(start) + Number(back);
    return {
      actions: testActions(),
      takeUp: () => sleep(Number(start)),
      ingress: () => ({ ingress: `http://${listens}`, ingressRunning: true }),
      comingBack: () => (performance.now() < backAt ? ["story/serve"] : []),
      async listen(address) {
        listens = address;
      },
      async stopServices() {
        process.stdout.write("services stopped\n");
      },
      async close() {},
    };
  },
});
process.stdout.write(served ? "ended\n" : "gave way\n");
process.exit(0);
