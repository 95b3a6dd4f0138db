import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { describe, expect, test } from "vitest";

import { maskForms } from "../../src/core/mask.ts";
import { concealed, revealed, SecretValue } from "../../src/core/secret-value.ts";
import type { CarriedSecret } from "../../src/ports/secrets.ts";
import { ageFiles } from "../../src/secrets/age-file.ts";

const fixture = (name: string) => readFileSync(new URL(`../fixtures/age/${name}`, import.meta.url));
const plain = (secrets: readonly CarriedSecret[]) =>
  secrets.map(({ group, name, data }) => ({ group, name, data: revealed(data) }));

const secrets: readonly CarriedSecret[] = [
  { group: "prod", name: "db", data: concealed({ USERNAME: "alex", PASSWORD: "pä55\nwörd" }) },
  { group: "prod", name: "api", data: concealed({ TOKEN: "0123456789" }) },
  { group: "dev team", name: "db", data: concealed({ PASSWORD: "open sesame" }) },
];

async function aKey() {
  const identity = await generateX25519Identity();
  return { identity: new SecretValue(identity), recipient: await identityToRecipient(identity) };
}

describe("a file of secrets", () => {
  test.each([true, false])("is opened by each of its recipients (as text: %s)", async (asText) => {
    const [one, other] = [await aKey(), await aKey()];
    const file = await ageFiles.write(secrets, { recipients: [one.recipient, other.recipient] }, asText);
    expect(Buffer.from(file).toString("latin1").startsWith("-----BEGIN AGE ENCRYPTED FILE-----\n")).toBe(
      asText,
    );
    for (const { identity } of [one, other]) {
      expect(plain(await ageFiles.read(file, { identities: [identity] }))).toEqual(plain(secrets));
    }
    const values = secrets.flatMap(({ data }) => Object.values(revealed(data)));
    expect(maskForms(values).filter((form) => Buffer.from(file).includes(form))).toEqual([]);
  });

  test("is opened by its passphrase", async () => {
    const file = await ageFiles.write(secrets, { passphrase: new SecretValue("correct horse") }, true);
    const right = { passphrase: new SecretValue("correct horse") };
    expect(plain(await ageFiles.read(file, right))).toEqual(plain(secrets));
  });

  test("is not opened by another passphrase", async () => {
    const encrypter = new Encrypter();
    encrypter.setScryptWorkFactor(4); // It takes seconds with that of every file.
    encrypter.setPassphrase("correct horse");
    const file = await encrypter.encrypt("{}");
    await expect(ageFiles.read(file, { passphrase: new SecretValue("wrong horse") })).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("Cannot open the file of secrets"),
    });
  });

  test("that the age program wrote is read, by key and by passphrase", async () => {
    const expected = [{ group: "prod", name: "db", data: { PASSWORD: "open sesame" } }];
    const key = fixture("identity.txt").toString("utf8").trim().split("\n").at(-1) ?? "";
    const byKey = await ageFiles.read(fixture("recipient.asc"), { identities: [new SecretValue(key)] });
    expect(plain(byKey)).toEqual(expected);
    const passphrase = new SecretValue("correct horse battery");
    expect(plain(await ageFiles.read(fixture("passphrase.asc"), { passphrase }))).toEqual(expected);
  });

  test("is refused when it is another's, damaged, or none", async () => {
    const [mine, anothers] = [await aKey(), await aKey()];
    const file = await ageFiles.write(secrets, { recipients: [mine.recipient] }, false);
    await expect(ageFiles.read(file, { identities: [anothers.identity] })).rejects.toMatchObject({
      code: "usage",
    });
    for (const at of [0, 60, file.length - 20]) {
      const damaged = file.map((byte, index) => (index === at ? byte ^ 1 : byte));
      await expect(ageFiles.read(damaged, { identities: [mine.identity] }), `at ${at}`).rejects.toMatchObject(
        {
          code: "usage",
        },
      );
    }
    for (const text of ["", "hello", "-----BEGIN AGE ENCRYPTED FILE-----\n"]) {
      await expect(ageFiles.read(Buffer.from(text), { identities: [mine.identity] })).rejects.toMatchObject({
        code: "usage",
      });
    }
  });

  test("that holds something else is refused, and nothing of it is said", async () => {
    const { identity, recipient } = await aKey();
    for (const text of [
      "hunter22",
      '{"format":"bodywork-secrets","version":1,"groups":{"g":{"n":{"K":5}}}}',
    ]) {
      const encrypter = new Encrypter();
      encrypter.addRecipient(recipient);
      const file = await encrypter.encrypt(text);
      const failed = await ageFiles.read(file, { identities: [identity] }).catch((error: unknown) => error);
      expect(failed).toMatchObject({
        code: "usage",
        message: expect.stringContaining("no export of Bodywork"),
      });
      expect(inspect(failed)).not.toContain("hunter22");
    }
  });

  test("is made for recipients of age only; a wrong private key is refused and not shown", async () => {
    await expect(ageFiles.write(secrets, { recipients: ["ssh-ed25519 AAAA"] }, true)).rejects.toMatchObject({
      code: "usage",
      message: 'Cannot encrypt secrets for "ssh-ed25519 AAAA": it is no recipient of age.',
    });
    const key = "AGE-SECRET-KEY-1QQQQQQQQ";
    const file = fixture("recipient.asc");
    const failed = await ageFiles.read(file, { identities: [new SecretValue(key)] }).catch((error) => error);
    expect(failed).toMatchObject({
      code: "usage",
      message: expect.stringContaining("no private key of age"),
    });
    expect(inspect(failed)).not.toContain(key);
  });
});
