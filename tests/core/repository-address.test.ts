import { expect, test } from "vitest";
import { isSameRepository, isSshAddress } from "../../src/core/repository-address.ts";

test.each([
  ["git@github.com:me/project.git", true],
  ["github.com:me/project", true],
  ["ssh://git@forge.example:2222/me/project", true],
  ["SSH://git@forge.example/me/project", true],
  ["https://forge.example/me/project", false],
  ["http://forge.example/me/project", false],
  ["file:///srv/project", false],
])("that %s is reached over ssh is %s", (url, isSsh) => {
  expect(isSshAddress(url)).toBe(isSsh);
});

test("the end of an address does not make another repository of it, anything else does", () => {
  const url = "https://forge.example/me/project";
  expect([url, `${url}/`, `${url}.git`, `${url}.git/`].every((other) => isSameRepository(url, other))).toBe(
    true,
  );
  expect(isSameRepository(url, `${url}s`)).toBe(false);
});
