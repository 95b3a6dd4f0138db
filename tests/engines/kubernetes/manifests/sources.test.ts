import { describe, expect, test } from "vitest";

import { textAt } from "../../../../src/engines/kubernetes/client/objects.ts";
import { largestArchive, sourceSecrets } from "../../../../src/engines/kubernetes/manifests/sources.ts";

const commit = "1234567890abcdef1234567890abcdef12345678";
const partsOf = (archive: Buffer) => sourceSecrets({ namespace: "space", commit, archive });

describe("the Secrets of a commit", () => {
  test("hold its archive in parts of at most 900 KiB, which never change", () => {
    const archive = Buffer.alloc(2 * 900 * 1024 + 5, "abc");
    const parts = partsOf(archive) ?? [];
    const contents = parts.map((part) => Buffer.from(textAt(part, "data", "part") ?? "", "base64"));
    expect(contents.map(({ length }) => length)).toEqual([921_600, 921_600, 5]);
    expect(Buffer.concat(contents).equals(archive)).toBe(true);
    expect(parts.every(({ immutable }) => immutable === true)).toBe(true);
  });

  test("are called after the commit and what they hold, in order", () => {
    const names = (partsOf(Buffer.alloc(1024 * 1024)) ?? []).map(({ metadata }) => metadata.name);
    expect(names).toEqual([
      expect.stringMatching(/^bodywork-sources-1234567890ab-[0-9a-f]{12}-000$/),
      expect.stringMatching(/^bodywork-sources-1234567890ab-[0-9a-f]{12}-001$/),
    ]);
    const others = (partsOf(Buffer.alloc(1024 * 1024, 1)) ?? []).map(({ metadata }) => metadata.name);
    expect(others[0]).not.toBe(names[0]);
  });

  test("are found by what they are and by the commit", () => {
    expect(partsOf(Buffer.from("x"))?.[0]?.metadata).toMatchObject({
      namespace: "space",
      labels: { "bodywork.io/part": "sources", "git-commit-hash": commit },
    });
  });

  test("are not made of more than 8 MiB", () => {
    expect(partsOf(Buffer.alloc(largestArchive))).toHaveLength(10);
    expect(partsOf(Buffer.alloc(largestArchive + 1))).toBeUndefined();
  });
});
