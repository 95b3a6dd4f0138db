import { expect, test } from "vitest";
import { readLogs } from "../../src/operations/read-logs.ts";
import type { LogReader } from "../../src/ports/engine.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { aRun, aStage } from "../cli/support/records.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** Two logs, of which `chatty` always has more and `silent` never says anything. Knows who reads them. */
function twoLogs() {
  let open = 0;
  const logs: LogReader = {
    async *read(reference, { signal }) {
      open += 1;
      try {
        while (signal?.aborted !== true) {
          if (reference === "chatty") {
            yield "more\n";
          } else {
            await new Promise<void>((resolve) => {
              signal?.addEventListener("abort", () => resolve(), { once: true });
            });
          }
        }
      } finally {
        open -= 1;
      }
    },
  };
  return { logs, open: () => open };
}

function followed(logs: LogReader, references: readonly string[]) {
  const store = openStore(`${temporaryFolder("store")}/store.db`);
  const stages = references.map((reference, index) => {
    const stage = aStage({ node: `stage-${index}`, stage: `stage-${index}` });
    const logs = [{ source: "attempt 1", reference }];
    return { ...stage, attempts: stage.attempts.map((attempt) => ({ ...attempt, logs })) };
  });
  store.saveRun(aRun({ id: "r1", deployment: "demo", namespace: "demo", status: "running", stages }));
  return readLogs(
    { deployment: "demo", follow: true },
    { read: (look) => look(store), logs, services: () => [], sleep: async () => {} },
    new AbortController().signal,
  );
}

test.each([
  ["both of which have more to say", ["chatty", "chatty"]],
  ["one of which is silent", ["chatty", "silent"]],
])("whoever leaves while logs are followed, %s, leaves none of them open", async (_which, references) => {
  const { logs, open } = twoLogs();
  let seen = 0;
  for await (const { text } of followed(logs, references)) {
    expect(text).toBe("more\n");
    seen += 1;
    if (seen === 3) break;
  }
  expect(open()).toBe(0);
});
