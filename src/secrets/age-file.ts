import { armor, Decrypter, Encrypter } from "age-encryption";
import { z } from "zod";

import { asFailure, Failure } from "../core/failure.ts";
import { concealed, revealed, type SecretValue } from "../core/secret-value.ts";
import type { CarriedSecret, FileKeys, SecretFiles } from "../ports/secrets.ts";

/** Any tool that knows age can open such a file: it is JSON, group → secret → key → value. */
const contents = z.strictObject({
  format: z.literal("bodywork-secrets"),
  version: z.literal(1),
  groups: z.record(z.string(), z.record(z.string(), z.record(z.string(), z.string()))),
});

export const ageFiles: SecretFiles = {
  async write(secrets, to, asText) {
    const encrypter = new Encrypter();
    if ("passphrase" in to) encrypter.setPassphrase(to.passphrase.reveal());
    else for (const recipient of to.recipients) addRecipient(encrypter, recipient);
    const file = await encrypter.encrypt(JSON.stringify(contentsOf(secrets), null, 2));
    return asText ? Buffer.from(armor.encode(file)) : file;
  },
  async read(file, keys) {
    const text = await decrypted(file, keys);
    return Object.entries(parseContents(text).groups).flatMap(([group, secrets]) =>
      Object.entries(secrets).map(([name, data]): CarriedSecret => ({ group, name, data: concealed(data) })),
    );
  },
};

function addRecipient(encrypter: Encrypter, recipient: string): void {
  try {
    encrypter.addRecipient(recipient);
  } catch (error) {
    throw new Failure("usage", `Cannot encrypt secrets for "${recipient}": it is no recipient of age.`, {
      hint: "A recipient is a public key, as age-keygen prints it: age1…",
      cause: error,
    });
  }
}

function contentsOf(secrets: readonly CarriedSecret[]): z.infer<typeof contents> {
  const ofGroup = (group: string) => secrets.filter((secret) => secret.group === group);
  const groups = [...new Set(secrets.map(({ group }) => group))];
  return {
    format: "bodywork-secrets",
    version: 1,
    groups: Object.fromEntries(
      groups.map((group) => [
        group,
        Object.fromEntries(ofGroup(group).map(({ name, data }) => [name, revealed(data)])),
      ]),
    ),
  };
}

async function decrypted(file: Uint8Array, keys: FileKeys): Promise<string> {
  const decrypter = new Decrypter();
  if ("passphrase" in keys) decrypter.addPassphrase(keys.passphrase.reveal());
  else for (const identity of keys.identities) addIdentity(decrypter, identity);
  try {
    const text = Buffer.from(file).toString("latin1");
    return await decrypter.decrypt(text.startsWith("-----BEGIN AGE") ? armor.decode(text) : file, "text");
  } catch (error) {
    throw new Failure("usage", `Cannot open the file of secrets: ${asFailure(error).message}.`, {
      hint: "It must be a file of age, and these its passphrase or one of its private keys.",
      cause: error,
    });
  }
}

function addIdentity(decrypter: Decrypter, identity: SecretValue): void {
  try {
    decrypter.addIdentity(identity.reveal());
  } catch {
    // Its message may have the key in it.
    throw new Failure("usage", "Cannot open the file of secrets: an identity is no private key of age.", {
      hint: "An identity file is what age-keygen writes: a line with AGE-SECRET-KEY-1…, and comments after #.",
    });
  }
}

function parseContents(text: string): z.infer<typeof contents> {
  try {
    return contents.parse(JSON.parse(text));
  } catch {
    // Neither what it is nor what is wrong with it is said: it may be a secret of another tool.
    throw new Failure(
      "usage",
      "Cannot read the file of secrets: what is encrypted in it is no export of Bodywork.",
      {
        hint: "Write one with: bodywork secret export",
      },
    );
  }
}
