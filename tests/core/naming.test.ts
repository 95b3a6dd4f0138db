import { expect, test } from "vitest";
import { kubernetesNameProblem, sanitisedName } from "../../src/core/naming.ts";

test.each([
  ["load_data", "load-data"],
  ["a__b", "a-b"],
  ["a---b", "a-b"],
  ["Load Data", "Load-Data"],
  ["_edge_", "-edge-"],
  ["  padded\t", "padded"],
  ["https://forge.test/x/y.git", "https-forge.test-x-y.git"],
  ["marée", "mar-e"],
  ["", ""],
])("the name %j is sanitised to %j", (name, sanitised) => {
  expect(sanitisedName(name)).toBe(sanitised);
});

test("white space is what Python takes for it: NEL goes from the edges, a byte order mark does not", () => {
  expect(sanitisedName("\x85tide\x1f")).toBe("tide");
  expect(sanitisedName("\ufefftide")).toBe("-tide");
});

test.each([
  ["tide-2", "namespace", undefined],
  ["2-tide", "namespace", undefined],
  ["2-tide", "service", "beginning with a letter"],
  ["tide.table", "namespace", "is not made of"],
  ["tide.table", "job", undefined],
  ["Tide", "job", "has capital letters"],
  ["tide-", "service", "ending with a letter or digit"],
  ["t".repeat(64), "namespace", "is longer than 63"],
  ["", "job", "is not made of"],
] as const)("as a Kubernetes name %j for a %s: %s", (name, use, complaint) => {
  const found = kubernetesNameProblem(name, use);
  if (complaint === undefined) expect(found).toBeUndefined();
  else expect(found).toContain(complaint);
});
