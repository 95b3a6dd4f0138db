import { expect, test } from "vitest";
import { withoutCredentials } from "../../src/core/url-credentials.ts";

test.each([
  ["https://me:secret@forge.test/p", "https://forge.test/p"],
  ["https://token@forge.test/p", "https://forge.test/p"],
  ["HTTPS://me:s@cret@forge.test/p", "HTTPS://forge.test/p"],
  ["ssh://git:secret@forge.test/p", "ssh://git@forge.test/p"],
  ["ssh://git@forge.test/p", "ssh://git@forge.test/p"],
  ["git@forge.test:me/p", "git@forge.test:me/p"],
  ["https://forge.test/a@b", "https://forge.test/a@b"],
])("The URL %s is shown as %s", (url, shown) => {
  expect(withoutCredentials(url)).toBe(shown);
});
