import fc from "fast-check";
import { expect, test } from "vitest";
import { nearName } from "../../src/core/near-name.ts";

test("a name with up to two slips is near, and the nearest is named", () => {
  expect(nearName("memory_request_md", ["memory_request_mb", "cpu_request"])).toBe("memory_request_mb");
  expect(nearName("reties", ["retries", "replicas"])).toBe("retries");
  expect(nearName("cup_limit", ["cpu_limit", "cpu_request"])).toBe("cpu_limit");
  expect(nearName("something_else", ["retries", "replicas"])).toBeUndefined();
});

test("giving up early on what is far away never changes the answer", () => {
  const name = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 6, maxLength: 10 });
  fc.assert(
    fc.property(name, name, (typed, known) => {
      const isNear = slips(typed, known) <= Math.min(2, Math.floor(known.length / 3));
      expect(nearName(typed, [known])).toBe(isNear ? known : undefined);
    }),
    { numRuns: 5_000 },
  );
});

/** The whole table, to its end: insertions, deletions, replacements and swaps of neighbours. */
function slips(a: string, b: string): number {
  const table = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_, j) => (i === 0 ? j : j === 0 ? i : 0)),
  );
  const cell = (i: number, j: number): number => table[i]?.[j] ?? 99;
  for (let i = 1; i <= a.length; i += 1) {
    for (let j = 1; j <= b.length; j += 1) {
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      (table[i] as number[])[j] = Math.min(
        cell(i - 1, j) + 1,
        cell(i, j - 1) + 1,
        cell(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1),
        isSwap ? cell(i - 2, j - 2) + 1 : 99,
      );
    }
  }
  return cell(a.length, b.length);
}
