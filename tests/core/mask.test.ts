import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { createMask, maskForms } from "../../src/core/mask.ts";
import { SecretValue } from "../../src/core/secret-value.ts";

/** Made with Python's own base64, binascii, urllib, json, repr, html, xml and shlex, not with the code under test. */
const fixture = JSON.parse(
  readFileSync(new URL("../fixtures/mask-forms.json", import.meta.url), "utf8"),
) as readonly { readonly value: string; readonly forms: readonly string[] }[];

const maskOf = (...values: readonly string[]) => createMask(values.map((value) => new SecretValue(value)));

/** Without the mark itself, which a masked text is full of, and without line breaks at random places. */
const secret = fc
  .string({ minLength: 4, maxLength: 40, unit: "binary" })
  .filter((text) => text.trim().length >= 4 && !text.includes("*"));

describe("the spellings of a secret", () => {
  test.each(fixture)("of $value are those that Python's libraries make of it", ({ value, forms }) => {
    expect([...maskForms([value])].sort()).toEqual([...forms].sort());
  });

  test("come longest first", () => {
    const lengths = maskForms(fixture.map(({ value }) => value)).map((form) => form.length);
    expect(lengths).toEqual(lengths.toSorted((one, other) => other - one));
  });

  test("are none for a value of fewer than four characters, which would blank the log", () => {
    expect(maskForms(["abc", "  a  ", "\n\n\n\n\n", "éé€", ""])).toEqual([]);
    expect(maskOf("e", "in", "the")("the end is in sight")).toBe("the end is in sight");
  });

  test("leave out the short lines of a long value", () => {
    const mask = maskOf('{\n  "key": "open sesame"\n}\nend\n');
    expect(mask('a } and the end of "key": "open sesame"')).toBe("a } and the end of ***");
  });
});

describe("a masked text", () => {
  test("shows no end of a secret in base64 that is the last of what is encoded", () => {
    const mask = maskOf("s3cr3t-value-42");
    for (const text of [
      "s3cr3t-value-42",
      "user:s3cr3t-value-42",
      "me:s3cr3t-value-42",
      "a:s3cr3t-value-42",
    ]) {
      for (const encoding of ["base64", "base64url"] as const) {
        expect(mask(Buffer.from(text).toString(encoding)), text).toMatch(/^[A-Za-z0-9]*\*\*\*$/);
      }
    }
    expect(maskOf("hunter22")(Buffer.from("hunter22").toString("base64"))).toBe("***");
  });

  test("shows no spelling of a secret, wherever it is", () => {
    for (const { value, forms } of fixture) {
      const mask = maskOf(value);
      for (const form of forms) {
        for (let at = 0; at <= 8; at += 1) {
          // No letters: one more of base64 may be the end of another spelling.
          const around = "[:]; (!)";
          expect(mask(`${around.slice(0, at)}${form}${around.slice(at)}`)).toBe(
            `${around.slice(0, at)}***${around.slice(at)}`,
          );
        }
      }
    }
  });

  test("shows no spelling of any secret, whatever is around it and however many there are", () => {
    fc.assert(
      fc.property(
        fc.array(secret, { minLength: 1, maxLength: 4 }),
        fc.array(fc.tuple(fc.nat(), fc.string({ maxLength: 6 })), { minLength: 1, maxLength: 8 }),
        (values, picks) => {
          const forms = maskForms(values);
          const text = picks.map(([pick, between]) => `${forms[pick % forms.length]}${between}`).join("");
          const masked = maskOf(...values)(text);
          expect(forms.filter((form) => masked.includes(form))).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("is the text itself when no secret is in it", () => {
    fc.assert(
      fc.property(fc.array(secret, { maxLength: 4 }), fc.string({ unit: "binary" }), (values, text) => {
        fc.pre(!maskForms(values).some((form) => text.includes(form)));
        expect(maskOf(...values)(text)).toBe(text);
      }),
    );
  });

  test("hides a secret that is encoded with its surroundings", () => {
    const text = (value: string, before: string, after: string) => `${before}${value}${after}`;
    const encoders: readonly ((text: string) => string)[] = [
      (text) => Buffer.from(text).toString("base64"),
      (text) => Buffer.from(text).toString("base64url"),
      (text) => Buffer.from(text).toString("hex"),
      encodeURIComponent,
      JSON.stringify,
    ];
    const printable = fc.string({ minLength: 4, maxLength: 30 }).filter((value) => value.trim().length >= 4);
    fc.assert(
      fc.property(printable, fc.string(), fc.string(), (value, before, after) => {
        for (const encode of encoders)
          expect(maskOf(value)(encode(text(value, before, after)))).toContain("***");
      }),
    );
  });

  test("has one mark for secrets that overlap", () => {
    expect(maskOf("abcdef", "defghi")("<abcdefghi>")).toBe("<***>");
    expect(maskOf("abab")("<ababab>")).toBe("<***>");
  });
});

test("control: a mask of the values alone lets most of their spellings through", () => {
  const naive = (value: string, text: string) => text.replaceAll(value, "***");
  const leaks = fixture.flatMap(({ value, forms }) => forms.filter((form) => naive(value, form) === form));
  expect(leaks.length).toBeGreaterThan(100);
});
