import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { readCommandLine } from "../../../src/cli/read-command-line.ts";
import { concealed, revealed } from "../../../src/core/secret-value.ts";
import { createSecretActions } from "../../../src/operations/secret-actions.ts";
import type { SecretFiles } from "../../../src/ports/secrets.ts";
import { type FakeSecrets, fakeSecrets } from "../../support/fake-secrets.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { run, type TerminalOptions } from "../support/terminal.ts";

/** The real verbs over secrets in memory. */
function machine(secrets: FakeSecrets = fakeSecrets(), files?: SecretFiles) {
  const operations = {
    ...createSecretActions(secrets, secrets, () => {}),
    secrets: async (filter: Parameters<FakeSecrets["secrets"]>[0]) => secrets.secrets(filter),
  };
  const wiring = files === undefined ? {} : { secretFiles: async () => files };
  return {
    secrets,
    bodywork: (line: string | readonly string[], options: TerminalOptions = {}) =>
      run(line, { operations, wiring }, options),
    values: (group: string, name: string) => {
      const data = secrets.read(group, name);
      return data && Object.fromEntries(Object.entries(data).map(([key, value]) => [key, value.reveal()]));
    },
  };
}

describe("the commands of the original's integration tests", () => {
  test("create, get, delete and get again", async () => {
    const { bodywork } = machine();
    const created = await bodywork(
      "create secret pytest-credentials --group=test --data USERNAME=alex --data PASSWORD=alex123",
    );
    expect(created).toMatchObject({
      exitCode: 0,
      stdout: "Created secret=pytest-credentials in group=test\n",
    });
    const got = await bodywork("get secret pytest-credentials --group=test");
    expect(got.exitCode).toBe(0);
    expect(got.stdout).toMatch(/USERNAME.+alex/);
    expect(got.stdout).toMatch(/PASSWORD.+alex123/);
    expect(await bodywork("delete secret pytest-credentials --group=test")).toMatchObject({
      exitCode: 0,
      stdout: "Deleted secret=pytest-credentials from group=test\n",
    });
    expect(await bodywork("get secret pytest-credentials --group=test")).toMatchObject({
      exitCode: 0,
      stdout: "Cannot find secret=pytest-credentials\n",
    });
  });

  test("update, and the list of all", async () => {
    const { bodywork, secrets, values } = machine();
    secrets.set("testsecrets", "bodywork-test-project-credentials", { USERNAME: "alex", PASSWORD: "old" });
    const updated = await bodywork(
      "update secret bodywork-test-project-credentials --group=testsecrets --data PASSWORD=updated",
    );
    expect(updated).toMatchObject({
      exitCode: 0,
      stdout: "Updated secret=bodywork-test-project-credentials in group=testsecrets\n",
    });
    expect(updated.stderr).toContain("the next deployment uses the new ones");
    expect(values("testsecrets", "bodywork-test-project-credentials")).toEqual({
      USERNAME: "alex",
      PASSWORD: "updated",
    });
    const all = await bodywork("get secrets");
    expect(all.exitCode).toBe(0);
    expect(all.stdout).toMatch(/bodywork-test-project-credentials.+testsecret/);
    expect(all.stdout).not.toContain("updated");
  });
});

describe("create and update secret", () => {
  test("take several pairs after one --data, values with a =, and the last of a key", async () => {
    const { bodywork, values } = machine();
    await bodywork("create secret db --secrets-group dev --data A=1 B=b=c --data A=2");
    expect(values("dev", "db")).toEqual({ A: "2", B: "b=c" });
  });

  test.each(["A=", "=b", "A"])("refuse %s with 1, and do not repeat it", async (pair) => {
    const { bodywork, secrets } = machine();
    const refused = await bodywork([
      "create",
      "secret",
      "db",
      "--group",
      "dev",
      "--data",
      "X=y",
      "--data",
      pair,
    ]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stdout).toBe("Cannot parse the data of the secret: not all of it is KEY=VALUE.\n");
    expect(refused.stderr).toContain(
      "  value 2 of --data\nHint: As in: --data USERNAME=me PASSWORD=my-password\n",
    );
    expect(secrets.secrets({})).toEqual([]);
  });

  test("are wrong usage without data, or without a group", async () => {
    const { bodywork } = machine();
    const noData = await bodywork("create secret db --group dev");
    expect(noData).toMatchObject({ exitCode: 2, stdout: "" });
    expect(noData.stderr).toContain("Missing option '--data'.");
    const noGroup = await bodywork("update secret db --data A=1");
    expect(noGroup.exitCode).toBe(2);
    expect(noGroup.stderr).toContain("Missing option '--group'.");
  });

  test("are wrong usage with an empty group", async () => {
    const { bodywork } = machine();
    for (const verb of ["create", "update"]) {
      const { exitCode, stderr } = await bodywork([verb, "secret", "x", "--group", "", "--data", "A=1"]);
      expect(exitCode).toBe(2);
      expect(stderr).toContain("Error: Invalid value for '--group': it is empty.\n");
    }
  });

  test("warn of a variable that no stage may have", async () => {
    const { bodywork, values } = machine();
    const created = await bodywork("create secret x --group dev --data PATH=1 PATHS=2");
    expect(created.exitCode).toBe(0);
    expect(created.stderr).toContain("Warning: No stage can have PATH: a deployment");
    expect(created.stderr).not.toContain("PATHS:");
    expect(values("dev", "x")).toEqual({ PATH: "1", PATHS: "2" });
    const key = await bodywork("create secret ssh --group dev --data BODYWORK_GIT_SSH_PRIVATE_KEY=1");
    expect(key.stderr).not.toContain("No stage can have");
  });

  test("say which secret of which group they refuse", async () => {
    const { bodywork } = machine();
    const refused = await bodywork("create secret x --group dev --data 1A=1");
    expect(refused).toMatchObject({ exitCode: 1, stdout: "Cannot create secret=x in group=dev.\n" });
  });

  test("refuse one that exists, and one that does not, with 1 and the original's words", async () => {
    const { bodywork, secrets, values } = machine();
    secrets.set("dev", "db", { A: "1" });
    expect(await bodywork("create secret db --group dev --data A=2")).toMatchObject({ exitCode: 1 });
    expect(values("dev", "db")).toEqual({ A: "1" });
    expect(await bodywork("update secret gone --group dev --data A=2")).toMatchObject({ exitCode: 1 });
  });

  test("read values from files and from standard input, so that they are in no command line", async () => {
    const { bodywork, values } = machine();
    const folder = temporaryFolder();
    const write = (name: string, content: string | Uint8Array) => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    };
    const pem = "-----BEGIN KEY-----\nabc\n-----END KEY-----\n";
    const argv = ["create", "secret", "db", "--group", "dev", "--data-file"];
    const files = [`TOKEN=${write("token", "t0ken\r\n")}`, `KEY=${write("key", pem)}`, "STDIN=-"];
    expect(await bodywork([...argv, ...files], { input: "from a pipe\n" })).toMatchObject({ exitCode: 0 });
    expect(values("dev", "db")).toEqual({ TOKEN: "t0ken", KEY: pem, STDIN: "from a pipe" });

    const cases: readonly (readonly [argument: string, message: string])[] = [
      [`K=${join(folder, "none")}`, "there is no such file"],
      [`K=${folder}`, "it is a folder"],
      [`K=${write("bytes", Buffer.of(0xff, 0xfe))}`, "it is no text in UTF-8"],
      [`K=${write("big", "x".repeat(1024 * 1024 + 1))}`, "it is bigger than 1048576 bytes"],
      [`K=${write("empty", "")}`, "Cannot create secret=other in group=dev."],
    ];
    for (const [argument, message] of cases) {
      const refused = await bodywork([
        "create",
        "secret",
        "other",
        "--group",
        "dev",
        "--data-file",
        argument,
      ]);
      expect(refused).toMatchObject({ exitCode: 1, stdout: expect.stringContaining(message) });
    }
    const twice = await bodywork("create secret other --group dev --data-file A=- --data-file B=-");
    expect(twice).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("more than one key") });
  });

  test("give records with --output, without values", async () => {
    const { bodywork } = machine();
    const result = await bodywork("create secret db --group dev --data PASSWORD=hunter22 --output json");
    expect(JSON.parse(result.stdout)).toMatchObject({
      group: "dev",
      name: "db",
      version: 1,
      keys: ["PASSWORD"],
    });
    expect(result.stdout + result.stderr).not.toContain("hunter22");
    const refused = await bodywork("update secret gone --group dev --data A=1 --output json");
    expect(refused.exitCode).toBe(1);
    expect(JSON.parse(refused.stdout).error.code).toBe("not-found");
  });
});

describe("get secret", () => {
  test("shows all secrets of a group, one table each; nothing when there are none", async () => {
    const { bodywork, secrets } = machine();
    secrets.set("dev", "a", { KEY_A: "value a" });
    secrets.set("dev", "b", { KEY_B: "two\nlines" });
    secrets.set("prod", "a", { KEY_A: "another" });
    const { stdout } = await bodywork("get secrets --group dev");
    expect(stdout).toContain("a in group dev\n");
    expect(stdout).toMatch(/KEY_A.+value a/);
    expect(stdout).toContain("b in group dev\n");
    expect(stdout).toMatch(/KEY_B.+two\n/);
    expect(stdout).not.toContain("another");
    expect(await bodywork("get secrets --group none")).toMatchObject({ exitCode: 0, stdout: "" });
  });

  test("lists secrets of the same name in two groups both", async () => {
    const { bodywork, secrets } = machine();
    secrets.set("dev", "db", { A: "1" });
    secrets.set("prod", "db", { A: "1", B: "2" });
    const { stdout } = await bodywork("get secrets");
    expect(stdout).toMatch(/^all secrets\n/);
    expect(stdout).toMatch(/db +dev +A /);
    expect(stdout).toMatch(/db +prod +A, B /);
    expect(await machine().bodywork("get secrets")).toMatchObject({
      exitCode: 0,
      stdout: "No secrets found\n",
    });
  });

  test("with a name wants the group: 1", async () => {
    const result = await machine().bodywork("get secret db");
    expect(result).toMatchObject({ exitCode: 1, stdout: "Cannot show secret=db without its group.\n" });
    expect(result.stderr).toContain("--group GROUP");
  });

  test("gives records with --output: a list, one, or null", async () => {
    const { bodywork, secrets } = machine();
    secrets.set("dev", "db", { PASSWORD: "pä55\u001b[31m" });
    const json = async (line: string) => JSON.parse((await bodywork(`${line} --output json`)).stdout);
    expect(await json("get secret db --group dev")).toMatchObject({
      ...{ group: "dev", name: "db", version: 1, data: { PASSWORD: "pä55\u001b[31m" } },
    });
    expect(await json("get secrets --group dev")).toHaveLength(1);
    expect(await json("get secret gone --group dev")).toBeNull();
    expect(await json("get secrets")).toEqual([expect.not.objectContaining({ data: expect.anything() })]);
    const { stdout } = await bodywork("get secret db --group dev");
    expect(stdout).not.toContain("\u001b");
  });
});

describe("delete secret", () => {
  test("of one that is not there is 0, as in the original; so of a group", async () => {
    const { bodywork } = machine();
    expect(await bodywork("delete secret gone --group dev")).toMatchObject({
      exitCode: 0,
      stdout: "Could not find secret=gone in group=dev\n",
    });
    expect(await bodywork("delete secrets --group dev")).toMatchObject({
      exitCode: 0,
      stdout: "Could not find secret group=dev\n",
    });
  });

  test("deletes a whole group", async () => {
    const { bodywork, secrets } = machine();
    secrets.set("dev", "a", { A: "1" });
    secrets.set("dev", "b", { A: "1" });
    secrets.set("prod", "a", { A: "1" });
    expect(await bodywork("delete secret --group dev")).toMatchObject({
      exitCode: 0,
      stdout: "Deleted secret group=dev\n",
    });
    expect(secrets.secrets({}).map(({ group }) => group)).toEqual(["prod"]);
    const json = await bodywork("delete secrets --group prod --output json");
    expect(JSON.parse(json.stdout)).toEqual({ group: "prod", deleted: ["a"] });
  });

  test.each(["delete secret db", "delete secrets"])("wants a group: %s is 1", async (line) => {
    const { bodywork, secrets } = machine();
    secrets.set("dev", "db", { A: "1" });
    expect(await bodywork(line)).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining("without a group"),
    });
    expect(secrets.secrets({})).toHaveLength(1);
  });

  test("asks on a terminal, unless --yes", async () => {
    const { bodywork, secrets } = machine();
    secrets.set("dev", "db", { A: "1" });
    const refused = await bodywork("delete secret db --group dev", { answers: ["n"] });
    expect(refused).toMatchObject({
      exitCode: 1,
      stdout: "",
      asked: ["Delete secret db of group dev? [y/N] "],
    });
    const group = await bodywork("delete secrets --group dev", { answers: [""] });
    expect(group.asked).toEqual(["Delete all 1 secrets of group dev (db)? [y/N] "]);
    expect(secrets.secrets({})).toHaveLength(1);
    const yes = await bodywork("delete secret db --group dev --yes", { answers: ["n"] });
    expect(yes).toMatchObject({ exitCode: 0, asked: [] });
  });
});

/** Not encrypted at all, but only for who knows the passphrase: to make it a key takes seconds. */
const openFiles: SecretFiles = {
  async write(secrets, to, asText) {
    const passphrase = "passphrase" in to ? to.passphrase.reveal() : undefined;
    const plain = secrets.map((secret) => ({ ...secret, data: revealed(secret.data) }));
    return Buffer.from(JSON.stringify({ asText, passphrase, secrets: plain }));
  },
  async read(file, keys) {
    const { passphrase, secrets } = JSON.parse(Buffer.from(file).toString("utf8"));
    if (!("passphrase" in keys) || keys.passphrase.reveal() !== passphrase)
      throw new Error("wrong passphrase");
    return secrets.map((secret: { readonly data: Record<string, string> }) => ({
      ...secret,
      data: concealed(secret.data),
    }));
  },
};

describe("secret export and import", () => {
  const recipient = "age1q3al786du6gw9ufstg2vdrgq9kdj6mp6zp28qdk2uptts55mmu0sh29nvf";
  const identity = new URL("../../fixtures/age/identity.txt", import.meta.url).pathname;

  async function machines(files?: SecretFiles) {
    const ageFiles = files ?? (await import("../../../src/secrets/age-file.ts")).ageFiles;
    const from = machine(fakeSecrets(), ageFiles);
    from.secrets.set("dev", "db", { PASSWORD: "open sesame" });
    from.secrets.set("prod", "db", { PASSWORD: "much better", USERNAME: "me" });
    from.secrets.set("prod", "api", { TOKEN: "0123456789" });
    return { from, to: machine(fakeSecrets(), ageFiles), folder: temporaryFolder() };
  }

  test("carry all secrets to another machine, in a file for its owner alone", async () => {
    const { from, to, folder } = await machines();
    const file = join(folder, "secrets.age");
    const exported = await from.bodywork(["secret", "export", file, "--recipient", recipient]);
    expect(exported).toMatchObject({ exitCode: 0, stdout: `Exported 3 secrets to ${file}\n` });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file).includes("open sesame")).toBe(false);
    const imported = await to.bodywork(["secret", "import", file, "--identity", identity]);
    expect(imported).toMatchObject({ exitCode: 0, stdout: `Imported 3 secrets from ${file}\n` });
    expect(to.values("prod", "db")).toEqual({ PASSWORD: "much better", USERNAME: "me" });
    expect(to.values("dev", "db")).toEqual({ PASSWORD: "open sesame" });
  });

  test("go through a pipe as text, with a passphrase, for one group", async () => {
    const { from, to, folder } = await machines(openFiles);
    const passphrase = join(folder, "passphrase");
    writeFileSync(passphrase, "correct horse\n");
    const argv = ["--group", "prod", "--passphrase-file", passphrase];
    const exported = await from.bodywork(["secret", "export", "-", ...argv]);
    expect(JSON.parse(exported.stdout)).toMatchObject({ asText: true, passphrase: "correct horse" });
    const imported = await to.bodywork(
      ["secret", "import", "-", "--passphrase-file", passphrase, "--output", "json"],
      { input: exported.stdout },
    );
    expect(JSON.parse(imported.stdout)).toEqual({
      file: "-",
      secrets: [
        { group: "prod", name: "db", keys: ["PASSWORD", "USERNAME"] },
        { group: "prod", name: "api", keys: ["TOKEN"] },
      ],
    });
    expect(to.secrets.secrets({ group: "dev" })).toEqual([]);
  });

  test("name the file, or standard input, and make no folder for it", async () => {
    const { from, to, folder } = await machines(openFiles);
    const passphrase = join(folder, "passphrase");
    writeFileSync(passphrase, "correct horse\n");
    const opened = ["--passphrase-file", passphrase];
    const file = join(folder, "secrets.age");
    const exported = await from.bodywork(["secret", "export", file, ...opened, "--output", "json"]);
    expect(JSON.parse(exported.stdout)).toMatchObject({ file, secrets: { length: 3 } });
    const input = readFileSync(file, "utf8");
    const imported = await to.bodywork(["secret", "import", "-", ...opened], { input });
    expect(imported.stdout).toBe("Imported 3 secrets from standard input\n");
    const again = await to.bodywork(["secret", "import", "-", ...opened], { input });
    expect(again.stdout).toContain("Cannot import the secrets of standard input: some are there already");
    const nowhere = join(folder, "no", "secrets.age");
    const refused = await from.bodywork(["secret", "export", nowhere, ...opened]);
    expect(refused).toMatchObject({
      exitCode: 1,
      stdout: `Cannot write ${nowhere}: there is no folder ${join(folder, "no")}.\n`,
    });
    expect(existsSync(join(folder, "no"))).toBe(false);
  });

  test("ask for a passphrase on a terminal, twice for a new file", async () => {
    const { from, to, folder } = await machines(openFiles);
    const file = join(folder, "secrets.asc");
    const slip = await from.bodywork(["secret", "export", file], { answers: ["correct", "corect"] });
    expect(slip).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("two different ones") });
    const exported = await from.bodywork(["secret", "export", file], { answers: ["correct", "correct"] });
    expect(exported).toMatchObject({
      exitCode: 0,
      asked: ["Passphrase of the file: (hidden)", "The same again: (hidden)"],
    });
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ asText: true, passphrase: "correct" });
    const imported = await to.bodywork(["secret", "import", file], { answers: ["correct"] });
    expect(imported).toMatchObject({ exitCode: 0, asked: ["Passphrase of the file: (hidden)"] });
  });

  test("write nothing when some are there already, but with --overwrite", async () => {
    const { from, to, folder } = await machines();
    const file = join(folder, "secrets.age");
    await from.bodywork(["secret", "export", file, "--recipient", recipient]);
    to.secrets.set("prod", "db", { PASSWORD: "of this machine", PORT: "5432" });
    const refused = await to.bodywork(["secret", "import", file, "--identity", identity]);
    expect(refused).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("some are there already") });
    expect(refused.stderr).toContain("  secret=db in group=prod\nHint: With --overwrite");
    expect(to.secrets.secrets({})).toHaveLength(1);
    const done = await to.bodywork(["secret", "import", file, "--identity", identity, "--overwrite"]);
    expect(done.exitCode).toBe(0);
    expect(to.values("prod", "db")).toEqual({ PASSWORD: "much better", USERNAME: "me", PORT: "5432" });
    expect(to.values("prod", "api")).toEqual({ TOKEN: "0123456789" });
  });

  test("are refused when there is nothing to export, no key, or no place to write", async () => {
    const { from, folder } = await machines();
    const none = machine();
    expect(await none.bodywork(`secret export x.age --recipient ${recipient}`)).toMatchObject({
      exitCode: 1,
      stdout: "Cannot export secrets: there are none.\n",
    });
    const noKey = await from.bodywork("secret export x.age");
    expect(noKey).toMatchObject({ exitCode: 2, stdout: "" });
    expect(noKey.stderr).toContain("Missing option '--recipient' or '--passphrase-file'.");
    expect((await from.bodywork("secret import x.age")).exitCode).toBe(2);
    expect((await from.bodywork("secret import - --identity -")).exitCode).toBe(2);
    mkdirSync(join(folder, "a-folder"));
    const toFolder = await from.bodywork([
      "secret",
      "export",
      join(folder, "a-folder"),
      "--recipient",
      recipient,
    ]);
    expect(toFolder).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("Cannot write") });
    writeFileSync(join(folder, "empty"), "# only a comment\n");
    const noIdentity = await from.bodywork(["secret", "import", "x", "--identity", join(folder, "empty")]);
    expect(noIdentity).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("it has no key") });
  });
});

test.each(["create", "update", "get", "delete"])("%s secret has a plural and a help", (verb) => {
  for (const noun of ["secret", "secrets"]) {
    expect(readCommandLine([verb, noun, "--help"], undefined).kind).toBe("help");
  }
});

test("what was never revealed is never printed", async () => {
  const { bodywork, secrets } = machine();
  secrets.create("dev", "db", concealed({ PASSWORD: "hunter22" }));
  for (const line of [
    "get secrets",
    "get secrets --output yaml",
    "delete secret db --group dev --output json",
  ]) {
    const { stdout, stderr } = await bodywork(line);
    expect(stdout + stderr).not.toContain("hunter22");
  }
});
