import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  labelValue,
  namespaceName,
  nodeLabel,
  objectName,
  secretCopyName,
  secretObjectName,
  serviceName,
} from "../../../../src/engines/kubernetes/manifests/names.ts";

/** As Kubernetes' documentation has them. */
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const label1123 = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const label1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const value = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

const anyName = fc.oneof(
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.string({ unit: fc.constantFrom("a", "B", "7", ".", "-", "_", " ", "/"), maxLength: 80 }),
);

describe("names of objects", () => {
  test.each([
    ["stage_1", "stage-1"],
    ["a__b", "a-b"],
    ["prepare.data", "prepare.data"],
    ["1-train", "1-train"],
    ["Stage 1", "stage-1"],
  ])("stage %s is %s, as in the original", (stage, name) => {
    expect(objectName(stage)).toBe(name);
  });

  test.each([
    ["_a_", /^a-[0-9a-f]{10}$/],
    ["a._b", /^a-b-[0-9a-f]{10}$/],
    ["___", /^x-[0-9a-f]{10}$/],
    ["long".repeat(30), /^(long){13}-[0-9a-f]{10}$/],
  ])("what Kubernetes would refuse (%s) is made legal, with a digest", (stage, name) => {
    expect(objectName(stage)).toMatch(name);
  });

  test("a service that would have a dot or begin with a digit gets another name for its neighbours", () => {
    expect(serviceName("stage_1")).toBe("stage-1");
    expect(serviceName("score.v2")).toMatch(/^score-v2-[0-9a-f]{10}$/);
    expect(serviceName("2nd")).toMatch(/^s-2nd-[0-9a-f]{10}$/);
  });

  test("a namespace is called what the pipeline is, without dots", () => {
    expect(namespaceName("My-Project")).toBe("my-project");
    expect(namespaceName("my.project")).toMatch(/^my-project-[0-9a-f]{10}$/);
  });

  test("secrets are GROUP-NAME where they are kept and NAME where they are used", () => {
    expect(secretObjectName("dev", "db_password")).toBe("dev-db-password");
    expect(secretCopyName("db_password")).toBe("db-password");
  });

  test("groups that differ in capitals alone do not share their secrets", () => {
    expect(secretObjectName("Dev", "db")).not.toBe(secretObjectName("dev", "db"));
  });

  test("are legal, whatever a stage, namespace or secret is called", () => {
    fc.assert(
      fc.property(anyName, anyName, (name, other) => {
        expect(objectName(name)).toMatch(subdomain);
        expect(serviceName(name)).toMatch(label1035);
        expect(namespaceName(name)).toMatch(label1123);
        expect(secretObjectName(name, other)).toMatch(subdomain);
        expect(secretCopyName(name)).toMatch(subdomain);
        for (const made of [objectName(name), serviceName(name), namespaceName(name)]) {
          expect(made.length).toBeLessThanOrEqual(63);
        }
        expect(secretObjectName(name, other).length).toBeLessThanOrEqual(253);
        expect(objectName(name)).toMatch(value);
      }),
    );
  });

  test("of two long stages that begin alike are not the same", () => {
    const beginning = "a".repeat(70);
    expect(objectName(`${beginning}1`)).not.toBe(objectName(`${beginning}2`));
  });
});

describe("values of labels", () => {
  test.each(["", "main", "v1.2_x", "1234567"])("%j stays as it is", (text) => {
    expect(labelValue(text)).toBe(text);
  });

  test("a branch with a slash is made legal, and no other text gets its label", () => {
    expect(labelValue("feature/x")).toMatch(/^feature-x-[0-9a-f]{10}$/);
    expect(labelValue("feature/x")).not.toBe(labelValue("feature:x"));
  });

  test("are legal, whatever the text is", () => {
    fc.assert(
      fc.property(anyName, (text) => {
        expect(labelValue(text)).toMatch(value);
        expect(labelValue(text).length).toBeLessThanOrEqual(63);
      }),
    );
  });

  test("tell the nodes of a run apart", () => {
    expect(nodeLabel("train")).toMatch(/^[0-9a-f]{16}$/);
    expect(nodeLabel("train")).not.toBe(nodeLabel("train#2"));
  });
});
