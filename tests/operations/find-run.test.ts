import { expect, test } from "vitest";
import { findRun } from "../../src/operations/find-run.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { aRun } from "../cli/support/records.ts";
import { temporaryFolder } from "../support/temporary.ts";

test("of many runs that begin with an id the newest are named", () => {
  const store = openStore(`${temporaryFolder("store")}/store.db`);
  for (let number = 10; number < 35; number++) store.saveRun(aRun({ id: `a${number}` }));
  const find = (id: string) => findRun(id, (look) => look(store));
  expect(find("a12").id).toBe("a12");
  expect(() => find("a1")).toThrow(
    "Several runs begin with a1: a19, a18, a17, a16, a15, a14, a13, a12, a11, a10.",
  );
  expect(() => find("a")).toThrow(/begin with a: a34, a33, .*, a25 and more\.$/);
});
