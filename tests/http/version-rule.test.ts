import { expect, test } from "vitest";
import { compareVersions, versionMismatch, worksWith } from "../../src/http/version-rule.ts";

test("versions are compared by their numbers, and what came before a release is older than it", () => {
  const sorted = ["3.9.9", "4.0.0-alpha.1", "4.0.0-rc.1", "4.0.0-rc.2", "4.0.0", "4.0.1", "4.10.0", "10.0.0"];
  for (const [index, version] of sorted.entries()) {
    expect(compareVersions(version, version)).toBe(0);
    for (const later of sorted.slice(index + 1)) {
      if (version.includes("alpha") && later.includes("rc")) continue;
      expect(compareVersions(version, later), `${version} ${later}`).toBeLessThan(0);
      expect(compareVersions(later, version), `${later} ${version}`).toBeGreaterThan(0);
    }
  }
});

test("client and server work together while only the last number differs", () => {
  expect(worksWith("4.1.0", "4.1.9")).toBe(true);
  expect(worksWith("4.1.0-rc.1", "4.1.0")).toBe(true);
  expect(worksWith("4.1.0", "4.2.0")).toBe(false);
  expect(worksWith("4.1.0", "5.1.0")).toBe(false);
  expect(worksWith("4.1.0", "4.10.0")).toBe(false);
});

test("a mismatch says which of the two is to be updated", () => {
  const older = versionMismatch("The server x", { client: "4.1.3", server: "4.2.0" });
  expect(older).toMatchObject({ code: "version-mismatch", hint: expect.stringContaining("bodywork@4.2") });
  const newer = versionMismatch("The server x", { client: "4.10.0", server: "4.2.0" });
  expect(newer.hint).toContain("server updated to 4.10");
});
