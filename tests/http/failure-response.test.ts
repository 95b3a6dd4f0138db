import { expect, test } from "vitest";
import { Failure, type FailureCode, failureCatalogue } from "../../src/core/failure.ts";
import { failureBody, failureFromResponse, failureStatus } from "../../src/http/failure-response.ts";

test("every failure comes out of the API as it went in", () => {
  for (const code of Object.keys(failureCatalogue) as FailureCode[]) {
    const failure = new Failure(code, `What ${code} is.`, { hint: "Do this.", details: ["one", "two"] });
    const sent = JSON.parse(JSON.stringify(failureBody(failure)));
    const got = failureFromResponse(failureStatus(failure), sent);
    expect([got.code, got.kind, got.message, got.hint, got.details]).toEqual([
      failure.code,
      failure.kind,
      failure.message,
      failure.hint,
      failure.details,
    ]);
  }
});

test("the status says what should happen next", () => {
  const status = (code: FailureCode): number => failureStatus(new Failure(code, ""));
  expect(status("not-found")).toBe(404);
  expect(status("project-invalid")).toBe(422);
  expect(status("superseded")).toBe(409);
  expect(status("repository-unreachable")).toBe(503);
  expect(status("internal")).toBe(500);
});

test("an answer that is none of ours is a fault, told with its status", () => {
  for (const body of [
    undefined,
    "<html>",
    { error: { code: "made-up", message: "x" } },
    { error: "x" },
    null,
  ]) {
    const failure = failureFromResponse(502, body);
    expect(failure.code).toBe("internal");
    expect(failure.message).toContain("502");
  }
});
