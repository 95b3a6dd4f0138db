import { expect, test } from "vitest";

import { Failure } from "../../../../src/core/failure.ts";
import { answerError } from "../../../../src/engines/kubernetes/client/answers.ts";
import { ClusterError } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { clusterFailure } from "../../../../src/engines/kubernetes/client/to-failure.ts";

const doing = { verb: "create", resource: "pods", namespace: "x" };

function answered(status: number, message: string, more: Readonly<Record<string, unknown>> = {}): Failure {
  const text = JSON.stringify({ kind: "Status", message, ...more });
  return clusterFailure(answerError(status, text, doing), "create the namespace x");
}

test("what the API said is told with what was to be done", () => {
  expect(answered(422, 'Namespace "x" is invalid: metadata.name: Invalid value.')).toMatchObject({
    code: "cluster-refused",
    message:
      'Cannot create the namespace x: Kubernetes API error returned (422): Namespace "x" is invalid: metadata.name: Invalid value.',
  });
});

test("an API server that is not reached is told as such, and as something to try again", () => {
  const failure = clusterFailure(
    new ClusterError("unreachable", "https://a:1: connect ECONNREFUSED"),
    "list pods",
  );
  expect(failure).toMatchObject({
    code: "cluster-unreachable",
    kind: "retry",
    message: "Cannot list pods: Failed to connect to the Kubernetes API (https://a:1: connect ECONNREFUSED).",
  });
  expect(answered(503, "leaving").code).toBe("cluster-unreachable");
});

const forbidden =
  'pods is forbidden: User "me" cannot create resource "pods" in API group "" in the namespace "x"';

test.each([
  [401, "Unauthorized", "not-allowed"],
  [403, forbidden, "not-allowed"],
  [403, "no", "not-allowed"],
  [
    403,
    'pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
    "cluster-refused",
  ],
  [403, 'pods "p" is forbidden: violates PodSecurity "restricted:latest"', "cluster-refused"],
  [404, 'namespaces "x" not found', "not-found"],
  [413, "Request entity too large", "cluster-refused"],
  [500, "etcdserver: request is too large", "cluster-refused"],
  [500, "boom", "cluster-refused"],
])("%i with %s is a case of its own, and the server's words are kept", (status, message, code) => {
  const failure = answered(status, message);
  expect(failure.code).toBe(code);
  expect(failure.message).toContain("Kubernetes API error returned");
  expect(failure.message).toContain(message);
});

test("fields in conflict are told once each", () => {
  const causes = [
    { reason: "FieldManagerConflict", field: ".data.a", message: 'conflict with "kubectl" using v1' },
  ];
  const short = answered(409, "Apply failed", { reason: "Conflict", details: { causes } });
  expect(short.details).toEqual(['.data.a: conflict with "kubectl" using v1']);
  const long = answered(409, 'Apply failed: conflict with "kubectl" using v1: .data.a', {
    details: { causes },
  });
  expect(long.details).toEqual([]);
});

test("a proxy's page is not shown, its plain words are", () => {
  const page = answerError(502, "<html><body>Bad gateway</body></html>", doing);
  expect(page.message).toBe("the answer was 502");
  expect(answerError(400, "Client sent an HTTP request to an HTTPS server.\n", doing).message).toBe(
    "Client sent an HTTP request to an HTTPS server.",
  );
});

test("a failure stays what it is, and what nobody foresaw is a fault of ours", () => {
  const failure = new Failure("not-found", "No such thing.");
  expect(clusterFailure(failure, "x")).toBe(failure);
  expect(clusterFailure(new TypeError("oops"), "x").code).toBe("internal");
});
