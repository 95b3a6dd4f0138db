import { describe, expect, test } from "vitest";

import { concealed, revealed } from "../../src/core/secret-value.ts";
import { createSecretActions } from "../../src/operations/secret-actions.ts";
import { fakeSecrets } from "../support/fake-secrets.ts";

function actions() {
  const secrets = fakeSecrets();
  return { secrets, ...createSecretActions(secrets, secrets, () => {}) };
}

const someData = concealed({ KEY: "value" });

test("a name is sanitised as that of a stage is, by every verb", async () => {
  const { createSecret, updateSecret, readSecrets, deleteSecret } = actions();
  expect(await createSecret("my group", " an invalid_name ", someData)).toMatchObject({
    group: "my group",
    name: "an-invalid-name",
  });
  expect(await updateSecret("my group", "an_invalid_name", concealed({ B: "b" }))).toMatchObject({
    name: "an-invalid-name",
    version: 2,
  });
  const [found] = await readSecrets({ group: "my group", name: "an invalid name" });
  expect(found).toMatchObject({ name: "an-invalid-name", keys: ["B", "KEY"] });
  expect(found && revealed(found.data)).toEqual({ KEY: "value", B: "b" });
  expect(await deleteSecret("my group", "an_invalid_name")).toEqual({ found: true });
  expect(await deleteSecret("my group", "an_invalid_name")).toEqual({ found: false });
});

test("a group is deleted with all its secrets, which are named, and no other group's", async () => {
  const { secrets, deleteSecretGroup, readSecrets } = actions();
  secrets.set("dev", "a", { K: "1" });
  secrets.set("dev", "b", { K: "2" });
  secrets.set("dev-2", "a", { K: "3" });
  expect((await readSecrets({ group: "dev" })).map(({ name }) => name)).toEqual(["a", "b"]);
  expect(await deleteSecretGroup("dev")).toEqual(["a", "b"]);
  expect(await deleteSecretGroup("dev")).toEqual([]);
  expect(await readSecrets({ group: "dev" })).toEqual([]);
  expect(await readSecrets({ group: "dev-2" })).toHaveLength(1);
});

test("what was deleted is swept at once, but for what is still in use", async () => {
  const secrets = fakeSecrets();
  const used = secrets.set("dev", "live", { K: "1" });
  secrets.set("dev", "unused", { K: "2" });
  const { deleteSecret, deleteSecretGroup } = createSecretActions(secrets, secrets, () =>
    secrets.sweep([used]),
  );
  await deleteSecret("dev", "unused");
  expect(() => secrets.reveal({ group: "dev", name: "unused", version: 1, key: "K" })).toThrow(
    "no version 1",
  );
  await deleteSecretGroup("dev");
  expect(secrets.reveal({ ...used, key: "K" }).reveal()).toBe("1");
});

test("so is the version before an update", async () => {
  const secrets = fakeSecrets();
  const before = secrets.set("dev", "db", { K: "1" });
  const { updateSecret } = createSecretActions(secrets, secrets, () => secrets.sweep([]));
  await updateSecret("dev", "db", concealed({ K: "2" }));
  expect(() => secrets.reveal({ ...before, key: "K" })).toThrow("no version 1");
  expect(secrets.read("dev", "db")?.K?.reveal()).toBe("2");
});

test("a secret has a thousand keys at most, those from before an update included", async () => {
  const { secrets, updateSecret } = actions();
  const keys = (first: number, count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`K${first + index}`, "v"]));
  secrets.set("dev", "db", keys(0, 999));
  await expect(updateSecret("dev", "db", concealed(keys(998, 3)))).rejects.toMatchObject({
    code: "usage",
    details: [expect.stringContaining("these are 1001 keys")],
  });
  expect((await updateSecret("dev", "db", concealed(keys(998, 2)))).keys).toHaveLength(1_000);
});

describe("what can't be is refused", () => {
  const names: readonly (readonly [group: string, name: string, problem: string])[] = [
    ["", "db", 'group "": is empty'],
    ["a/b", "db", 'group "a/b": has a slash'],
    ["a\\b", "db", 'group "a\\\\b": has a slash'],
    ["a\nb", "db", "can't be printed"],
    ["a\tb", "db", "can't be printed"],
    [" dev", "db", "begins or ends with white space"],
    ["..", "db", 'group "..": is a place in a path'],
    ["a\ud800", "db", "has half a character"],
    ["__proto__", "db", "keeps for itself"],
    ["dev", "", 'name "": is empty'],
    ["dev", "  ", 'name "  ": is empty'],
    ["dev", "___", 'name "___": has no letter and no digit'],
    ["dev", "..", 'name "..": is a place in a path'],
    ["dev", "x".repeat(254), "is longer than 253 characters"],
  ];
  test.each(names)("a secret of group %j with the name %j", async (group, name, problem) => {
    const { createSecret, updateSecret, deleteSecret } = actions();
    for (const act of [
      () => createSecret(group, name, someData),
      () => updateSecret(group, name, someData),
      () => deleteSecret(group, name),
    ]) {
      await expect(act()).rejects.toMatchObject({
        code: "usage",
        details: [expect.stringContaining(problem)],
      });
    }
  });

  const data: readonly (readonly [data: Readonly<Record<string, string>>, problem: string])[] = [
    [{}, "data: there is none"],
    [{ "MY-KEY": "x" }, 'key "MY-KEY": is no name of an environment variable'],
    [{ "1ST": "x" }, 'key "1ST": is no name of an environment variable'],
    [{ "": "x" }, 'key "": is no name of an environment variable'],
    [{ PÄSS: "x" }, "is no name of an environment variable"],
    [{ KEY: "" }, 'key "KEY": its value is empty'],
    [{ KEY: "a\0b" }, "has a NUL character"],
    [{ KEY: "a\udc00b" }, "has half a character"],
    [
      Object.fromEntries(Array.from({ length: 1_001 }, (_, index) => [`K${index}`, ""])),
      "these are 1001 keys",
    ],
    [{ KEY: "é".repeat(33_000) }, "is longer than 65536 bytes"],
  ];
  test.each(data)("data that no variable can have (%#)", async (given, problem) => {
    const { createSecret } = actions();
    await expect(createSecret("dev", "db", concealed(given))).rejects.toMatchObject({
      code: "usage",
      details: [expect.stringContaining(problem)],
    });
  });

  test("with everything that is wrong at once, and no value in what is said", async () => {
    const { createSecret, secrets } = actions();
    const failed = await createSecret(" ", "", concealed({ "a-b": "hunter22\0", C: "" })).catch(
      (error) => error,
    );
    expect(failed.details).toHaveLength(5);
    expect(JSON.stringify([failed.message, failed.details])).not.toContain("hunter22");
    expect(secrets.secrets({})).toEqual([]);
  });
});

test("the longest that may be is taken", async () => {
  const { createSecret } = actions();
  const summary = await createSecret(
    "g".repeat(253),
    "n".repeat(253),
    concealed({ _k1: "é".repeat(32_768) }),
  );
  expect(summary.keys).toEqual(["_k1"]);
});
