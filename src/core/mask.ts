import type { SecretValue } from "./secret-value.ts";

/**
 * Puts `***` in place of secrets, in any of their usual spellings (`maskForms`), wherever they are in a text; secrets that
 * overlap become one `***`. It is best effort: what a program makes of a secret otherwise, a hash or a part of it, passes.
 */
export function createMask(values: Iterable<SecretValue>): (text: string) => string {
  const forms = maskForms([...values].map((value) => value.reveal()));
  return (text) => {
    const places = forms.flatMap((form) => placesOf(form, text)).sort((one, other) => one[0] - other[0]);
    let masked = "";
    let at = 0;
    for (const [start, end] of places) {
      if (start >= at) masked += `${text.slice(at, start)}***`;
      at = Math.max(at, end);
    }
    return masked + text.slice(at);
  };
}

/**
 * The spellings of secrets that must not appear, longest first. Of a whole value, with and without the white space around
 * it: as it is, in base64 and base64url (anywhere in a longer text), in hexadecimal, and as it is written in URLs, JSON,
 * Python's `repr`, XML and shells. Of a value of several lines also each line. Values and lines of fewer than 4 characters,
 * white space around them not counted, are not looked for: they would blank the log.
 *
 * mask_log.py, which masks the logs of stages, looks for the same; tests/fixtures/mask-forms.json holds both to one list.
 */
export function maskForms(values: Iterable<string>): readonly string[] {
  const forms = new Set<string>();
  for (const value of values) {
    const trimmed = withoutSpace(value);
    if (!isLongEnough(trimmed)) continue;
    for (const text of new Set([value, trimmed])) {
      for (const form of formsOf(text)) forms.add(form);
    }
    for (const line of value.split(/\r\n|\r|\n/).map(withoutSpace)) {
      if (isLongEnough(line)) forms.add(line);
    }
  }
  return [...forms].sort((one, other) => other.length - one.length || (one < other ? -1 : 1));
}

function isLongEnough(text: string): boolean {
  return [...text].length >= 4;
}

/** What Python's `bytes.strip` takes away. */
function withoutSpace(text: string): string {
  return /[^ \t\n\r\v\f](?:.*[^ \t\n\r\v\f])?/s.exec(text)?.[0] ?? "";
}

function formsOf(text: string): readonly string[] {
  const bytes = Buffer.from(text);
  const hex = bytes.toString("hex");
  return [
    text,
    ...base64Forms(bytes),
    hex,
    hex.toUpperCase(),
    ...urlForms(text),
    ...jsonForms(text),
    reprForm(text, /(?! )[\p{C}\p{Z}]/gu),
    reprForm(bytes.toString("latin1"), /[^ -~]/g),
    ...xmlForms(text),
    text.replaceAll("'", `'"'"'`),
    text.replaceAll("'", `'\\''`),
  ];
}

/**
 * Of bytes somewhere in a longer sequence: at each of the three places in a group of three bytes, without the characters
 * that their neighbours have a part in; and of bytes that are the last of it, to the end, with padding and without.
 */
function base64Forms(bytes: Buffer): readonly string[] {
  return [0, 1, 2].flatMap((shift) => {
    const encoded = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
    const own = encoded.slice(Math.ceil((shift * 8) / 6));
    const inner = own.slice(0, Math.floor(((shift + bytes.length) * 8) / 6) - Math.ceil((shift * 8) / 6));
    return [inner, own, own.replace(/=+$/, "")].flatMap((form) => [
      form,
      form.replaceAll("+", "-").replaceAll("/", "_"),
    ]);
  });
}

/** As JavaScript writes a part of a URL; with all but letters, digits and `-._~` escaped; and that with `/`, or with `+` for a space. */
function urlForms(text: string): readonly string[] {
  const usual = encodeURIComponent(text.toWellFormed());
  const strict = usual.replace(/[!*'()]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
  return [usual, strict, strict.replaceAll("%2F", "/"), strict.replaceAll("%20", "+")];
}

/** As it is, and in ASCII, as Python's `json` writes it. */
function jsonForms(text: string): readonly string[] {
  const json = JSON.stringify(text).slice(1, -1);
  const ascii = json.replace(/[\x7f-\uffff]/g, (unit) => `\\u${hexOf(unit, 4)}`);
  return [json, ascii];
}

/** As Python writes a `str` whose `unprintable` characters are those that `str.isprintable` refuses, or, in Latin 1, `bytes`. */
function reprForm(text: string, unprintable: RegExp): string {
  const quoted =
    text.includes("'") && text.includes('"') ? text.replace(/[\\']/g, "\\$&") : text.replaceAll("\\", "\\\\");
  return quoted
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t")
    .replace(unprintable, (character) => {
      const code = character.codePointAt(0) ?? 0;
      if (code < 0x100) return `\\x${hexOf(character, 2)}`;
      return code < 0x10000 ? `\\u${hexOf(character, 4)}` : `\\U${hexOf(character, 8)}`;
    });
}

function hexOf(character: string, digits: number): string {
  return (character.codePointAt(0) ?? 0).toString(16).padStart(digits, "0");
}

/** With quotes kept, and with the three spellings that libraries have for the single one. */
function xmlForms(text: string): readonly string[] {
  const plain = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const quoted = plain.replaceAll('"', "&quot;");
  return [plain, ...["&#x27;", "&#39;", "&apos;"].map((quote) => quoted.replaceAll("'", quote))];
}

/** Where a form is in a text, from and to; places that overlap are one. */
function placesOf(form: string, text: string): readonly (readonly [number, number])[] {
  const places: [number, number][] = [];
  for (let at = text.indexOf(form); at >= 0; at = text.indexOf(form, at + 1)) {
    const last = places.at(-1);
    if (last !== undefined && at < last[1]) last[1] = at + form.length;
    else places.push([at, at + form.length]);
  }
  return places;
}
