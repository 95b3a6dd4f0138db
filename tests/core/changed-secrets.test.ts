import { expect, test } from "vitest";
import { changedSecrets } from "../../src/core/changed-secrets.ts";
import type { SecretSummary } from "../../src/core/secret-state.ts";

const secret = (group: string, name: string, version: number): SecretSummary => ({
  ...{ group, name, version, keys: ["KEY"] },
  ...{ createdAt: "2026-11-23T19:00:00.000Z", updatedAt: "2026-11-23T19:00:00.000Z" },
});

test("a secret that has a newer version than the one that was used is updated; one that is gone is deleted", () => {
  const used = [secret("prod", "database", 1), secret("prod", "mail", 3), secret("prod", "gone", 1)];
  const current = [secret("prod", "database", 2), secret("prod", "mail", 3), secret("test", "gone", 1)];
  expect(changedSecrets(used, current)).toEqual([
    { group: "prod", name: "database", change: "updated" },
    { group: "prod", name: "gone", change: "deleted" },
  ]);
});
