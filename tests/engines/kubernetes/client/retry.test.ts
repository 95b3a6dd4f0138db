import { expect, test } from "vitest";

import {
  nextTry,
  patienceOf,
  troubleOf,
  troubleOfConnection,
} from "../../../../src/engines/kubernetes/client/retry.ts";

const patience = patienceOf(600_000);

test("delays double up to ten seconds, and half of each is chance", () => {
  const delays = [1, 2, 3, 10, 1_000].map((tries) => nextTry("passing", tries, 0, undefined, patience, 1));
  expect(delays).toEqual([200, 400, 800, 10_000, 10_000]);
  expect(nextTry("passing", 3, 0, undefined, patience, 0)).toBe(400);
});

test("a server is not asked before the time it names, and at most a minute is waited", () => {
  expect(nextTry("passing", 1, 0, 7, patience, 0)).toBe(7_000);
  expect(nextTry("passing", 1, 0, 7, patience, 1)).toBe(8_750);
  expect(nextTry("passing", 1, 0, 3_600, patience, 1)).toBe(60_000);
});

test("ten minutes of busy answers are waited for, errors inside the server for one", () => {
  expect(nextTry("passing", 50, 580_000, undefined, patience, 1)).toBe(10_000);
  expect(nextTry("passing", 50, 595_000, undefined, patience, 1)).toBeUndefined();
  expect(nextTry("failing", 50, 40_000, undefined, patience, 1)).toBe(10_000);
  expect(nextTry("failing", 50, 55_000, undefined, patience, 1)).toBeUndefined();
});

test("what would be answered the same way is not tried again", () => {
  expect(nextTry("final", 1, 0, undefined, patience, 0)).toBeUndefined();
  expect([400, 401, 403, 404, 409, 410, 413, 422].map((status) => troubleOf(status, ""))).toEqual(
    Array(8).fill("final"),
  );
  expect(troubleOf(500, "etcdserver: request is too large")).toBe("final");
  expect(troubleOf(500, "etcdserver: leader changed")).toBe("failing");
  expect([429, 502, 503, 504].map((status) => troubleOf(status, ""))).toEqual(Array(4).fill("passing"));
});

test("an object that was refused for a change to the quota between is created anew", () => {
  const message = 'Operation cannot be fulfilled on resourcequotas "q": the object has been modified';
  expect(troubleOf(409, message)).toBe("failing");
});

test("connections break by chance, certificates do not mend themselves", () => {
  expect(["ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EAI_AGAIN"].map(troubleOfConnection)).toEqual(
    Array(4).fill("passing"),
  );
  expect(
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "ERR_TLS_CERT_ALTNAME_INVALID", "CERT_HAS_EXPIRED", "EPROTO"].map(
      troubleOfConnection,
    ),
  ).toEqual(Array(4).fill("final"));
});
