import { describe, expect, test } from "vitest";
import type { RunStore } from "../../src/ports/run-store.ts";
import { aDeployment, aRelease, aRun, aStage } from "../store/records.ts";

const at = new Date("2026-11-23T19:05:12Z");

/** What every record of runs must do, wherever it keeps them. `open` gives an empty one. */
export function describeRunStore(name: string, open: () => Promise<RunStore>): void {
  describe(name, () => {
    test("runs are found by deployment and namespace, the newest first, and those unfinished by themselves", async () => {
      const store = await open();
      store.saveRun(aRun("1", { deployment: "a", namespace: "x" }));
      store.saveRun(aRun("2", { deployment: "b", namespace: "x", status: "running" }));
      store.saveRun(aRun("3", { deployment: "a", namespace: "y" }));
      store.saveRun(aRun("4", { deployment: undefined, namespace: undefined, status: "queued" }));
      const ids = (filter: Parameters<typeof store.runs>[0]) => store.runs(filter).map(({ id }) => id);
      expect(ids({})).toEqual(["4", "3", "2", "1"]);
      expect(ids({ limit: 2 })).toEqual(["4", "3"]);
      expect(ids({ deployment: "a" })).toEqual(["3", "1"]);
      expect(ids({ namespace: "x" })).toEqual(["2", "1"]);
      expect(ids({ deployment: "a", namespace: "x", limit: 5 })).toEqual(["1"]);
      expect(store.unfinishedRuns().map(({ id }) => id)).toEqual(["2", "4"]);
      store.saveRun(aRun("2", { deployment: "b", namespace: "x", status: "failed" }));
      expect(store.unfinishedRuns().map(({ id }) => id)).toEqual(["4"]);
      store.close();
    });

    test("events are numbered from one in each run, and are read from where one stopped", async () => {
      const store = await open();
      const note = (run: string, text: string) =>
        store.addEvent(run, { kind: "notice", level: "info", text }, at);
      expect(note("1", "a")).toEqual({
        kind: "notice",
        level: "info",
        text: "a",
        seq: 1,
        at: at.toISOString(),
      });
      note("2", "other");
      note("1", "b");
      note("1", "c");
      const texts = store.events("1", 1).map((event) => (event.kind === "notice" ? event.text : ""));
      expect(texts).toEqual(["b", "c"]);
      store.close();
    });

    test("old runs of each deployment go beyond the number that is kept, never unfinished ones", async () => {
      const store = await open();
      for (let number = 1; number <= 6; number += 1) {
        store.saveRun(aRun(`a${number}`, { deployment: "a", status: number === 2 ? "running" : "failed" }));
        store.saveRun(aRun(`b${number}`, { deployment: "a", namespace: "other" }));
        store.addEvent(`a${number}`, { kind: "notice", level: "info", text: "x" }, at);
      }
      store.saveRun(aRun("c1", { deployment: "c" }));
      expect([...store.removeOldRuns(3)].sort()).toEqual(["a1", "a3", "b1", "b2", "b3"]);
      const left = store.runs({}).map(({ id }) => id);
      expect(left.sort()).toEqual(["a2", "a4", "a5", "a6", "b4", "b5", "b6", "c1"]);
      expect([store.events("a1", 0).length, store.events("a4", 0).length]).toEqual([0, 1]);
      store.close();
    });

    test("of runs that are named, those go that are finished and made no live release", async () => {
      const store = await open();
      store.saveRelease(aRelease(1, { runId: "old" }), aDeployment(1));
      store.saveRelease(aRelease(2, { runId: "live" }), aDeployment(2));
      for (const id of ["old", "live", "failed", "kept"]) {
        store.saveRun(aRun(id, { stages: [aStage("one")] }));
        store.addEvent(id, { kind: "notice", level: "info", text: "x" }, at);
      }
      store.saveRun(aRun("running", { status: "running" }));
      expect(store.removeRuns(["failed", "running", "live", "old", "unknown"])).toEqual(["failed", "old"]);
      expect(store.runs({}).map(({ id }) => id)).toEqual(["running", "live", "kept"]);
      expect([store.events("failed", 0).length, store.events("kept", 0).length]).toEqual([0, 1]);
      store.saveRun(aRun("failed"));
      expect(store.run("failed")?.stages).toEqual([]);
      store.close();
    });

    test("one release goes, and no other", async () => {
      const store = await open();
      for (const number of [1, 2]) store.saveRelease(aRelease(number), aDeployment(2));
      store.saveRelease(aRelease(1, { namespace: "x" }), aDeployment(1, { namespace: "x" }));
      store.removeRelease(aRelease(1));
      expect(store.releases("ml", "iris").map(({ number }) => number)).toEqual([2]);
      expect(store.releases("x", "iris").map(({ number }) => number)).toEqual([1]);
      expect(store.deployment("ml", "iris")).toEqual(aDeployment(2));
      store.close();
    });

    test("a deployment goes with its releases and its finished runs, and no other's", async () => {
      const store = await open();
      store.saveRelease(aRelease(1), aDeployment(1));
      store.saveRelease(aRelease(2), aDeployment(2));
      store.saveRelease(aRelease(1, { namespace: "x" }), aDeployment(1, { namespace: "x" }));
      expect(store.releases("ml", "iris").map(({ number }) => number)).toEqual([2, 1]);
      store.saveRun(aRun("1"));
      store.saveRun(aRun("2", { status: "running" }));
      store.saveRun(aRun("3", { namespace: "x" }));
      expect(store.removeDeployment("ml", "iris")).toEqual(["1"]);
      expect(store.deployments().map(({ namespace }) => namespace)).toEqual(["x"]);
      expect([store.releases("ml", "iris").length, store.releases("x", "iris").length]).toEqual([0, 1]);
      expect(store.runs({}).map(({ id }) => id)).toEqual(["3", "2"]);
      store.close();
    });
  });
}
