import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { maskForms } from "../../src/core/mask.ts";
import type { SecretVersion } from "../../src/core/secret-state.ts";
import { concealed, revealed } from "../../src/core/secret-value.ts";
import type { SealedSecret } from "../../src/ports/secrets.ts";
import { type MasterKey, newMasterKey } from "../../src/secrets/master-key.ts";
import { seal, unseal } from "../../src/secrets/seal.ts";
import { times } from "../support/soak.ts";

const key = newMasterKey();
const credentials: SecretVersion = { group: "prod", name: "db", version: 3 };

function sealedRow(
  of: SecretVersion = credentials,
  data: Readonly<Record<string, string>> = { PASSWORD: "open sesame" },
  master: MasterKey = key,
): SealedSecret {
  const at = "2026-11-25T09:00:00.000Z";
  return {
    ...of,
    keys: Object.keys(data),
    createdAt: at,
    updatedAt: at,
    current: true,
    keyId: master.id,
    sealed: seal(master, of, concealed(data)),
  };
}

describe("what is sealed", () => {
  test("is opened as it was, whatever keys and values there are", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.string({ unit: "grapheme" })), (data) => {
        expect(revealed(unseal(key, sealedRow(credentials, data)))).toEqual({ ...data });
      }),
    );
  });

  test("shows no spelling of a value, and is another each time", () => {
    const data = { PASSWORD: "open sesame", TOKEN: "0123456789" };
    const [one, other] = [sealedRow(credentials, data).sealed, sealedRow(credentials, data).sealed];
    expect(Buffer.from(one).equals(other)).toBe(false);
    for (const form of maskForms(Object.values(data))) {
      expect(Buffer.from(one).includes(form), form).toBe(false);
    }
  });

  const rows = times(200, 5_000);
  test(`is refused with any single bit of it changed (${rows} rows)`, {
    timeout: 60_000 + rows * 100,
  }, () => {
    let opened = 0;
    let flips = 0;
    for (let row = 0; row < rows; row += 1) {
      const secret = sealedRow({ ...credentials, version: row + 1 }, { K: `value ${row}` });
      for (let bit = 0; bit < secret.sealed.length * 8; bit += 1, flips += 1) {
        const sealed = Uint8Array.from(secret.sealed);
        sealed[bit >> 3] = (sealed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        if (codeOf(() => unseal(key, { ...secret, sealed })) !== "store-damaged") opened += 1;
      }
      expect(revealed(unseal(key, secret))).toEqual({ K: `value ${row}` });
    }
    expect(opened).toBe(0);
    expect(flips).toBeGreaterThan(rows * 300);
  });

  test("is refused when it is cut, empty, or longer", () => {
    const secret = sealedRow();
    for (let length = 0; length < secret.sealed.length; length += 1) {
      const cut = { ...secret, sealed: secret.sealed.subarray(0, length) };
      expect(() => unseal(key, cut)).toThrow(expect.objectContaining({ code: "store-damaged" }));
    }
    const longer = { ...secret, sealed: Buffer.concat([secret.sealed, Buffer.of(0)]) };
    expect(() => unseal(key, longer)).toThrow(expect.objectContaining({ code: "store-damaged" }));
  });

  const elsewhere: readonly Partial<SecretVersion>[] = [
    { name: "other" },
    { group: "dev" },
    { version: 2 },
    { group: "prod|db", name: "" },
    { group: 'prod","db', name: "" },
  ];
  test.each(elsewhere)("is refused in the place of another secret: %j", (place) => {
    expect(() => unseal(key, { ...sealedRow(), ...place })).toThrow(
      expect.objectContaining({ code: "store-damaged" }),
    );
  });

  test("control: with the same associated data for all, it is taken in the place of another", () => {
    const anybodys = { group: "", name: "", version: 0 };
    const naive = (row: SealedSecret) => unseal(key, { ...row, ...anybodys });
    const moved = { ...sealedRow(anybodys), name: "other" };
    expect(revealed(naive(moved))).toEqual({ PASSWORD: "open sesame" });
  });

  test("is refused with another key, naming both", () => {
    const other = newMasterKey();
    expect(() => unseal(other, sealedRow())).toThrow(
      expect.objectContaining({
        code: "secret-key",
        message: `Cannot open version 3 of the secret "db" in group "prod": it was sealed with the master key ${key.id}, and this one is ${other.id}.`,
      }),
    );
    expect(() => unseal(other, { ...sealedRow(), keyId: other.id })).toThrow(
      expect.objectContaining({ code: "store-damaged" }),
    );
  });
});

function codeOf(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}
