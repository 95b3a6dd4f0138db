import { expect, test } from "vitest";
import { createReadiness } from "../../src/http/readiness.ts";

test("a server is ready while its store takes writes and its ingress is as it should be", () => {
  let now = 0;
  let note: string | undefined;
  let full = false;
  let probes = 0;
  const readiness = createReadiness({
    ingressNote: () => note,
    now: () => now,
    probeStore() {
      probes++;
      if (full) throw new Error("the disk is full");
    },
  });
  expect(readiness()).toEqual([]);
  note = "Port 80 was taken.";
  full = true;
  expect(readiness(), "it was looked at just now").toEqual([]);
  now += 5_001;
  expect(readiness()).toEqual(["Port 80 was taken.", "The store takes no writes: the disk is full"]);
  for (let asked = 0; asked < 1_000; asked++) readiness();
  expect(probes).toBe(2);
  now += 5_001;
  [note, full] = [undefined, false];
  expect(readiness()).toEqual([]);
});
