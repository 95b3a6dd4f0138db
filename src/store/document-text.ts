import { crc32 } from "node:zlib";

/**
 * A record as JSON that tells when it was damaged: SQLite has no checksums of its pages, and a text with a flipped bit is
 * a text. The sum, CRC-32 of all before it in 8 hex digits, is an object's last member: `{"id":"7","$sum":"0123cdef"}`.
 */
export function documentText(value: unknown): string {
  const text = JSON.stringify(value);
  if (!text.startsWith("{")) return text;
  const before = text === "{}" ? "{" : `${text.slice(0, -1)},`;
  return `${before}${marker}${sumOf(before)}"}`;
}

/** What `documentText` was given; what version 1 wrote has no sum. Throws a SyntaxError when it is damaged. */
export function parseDocument(text: string): unknown {
  const at = text.length - marker.length - 10;
  if (at < 1 || !text.startsWith(marker, at)) return JSON.parse(text);
  const before = text.slice(0, at);
  if (text.slice(at + marker.length) !== `${sumOf(before)}"}`) {
    throw new SyntaxError("the checksum of a record is wrong");
  }
  return JSON.parse(before === "{" ? "{}" : `${before.slice(0, -1)}}`);
}

const marker = '"$sum":"';

function sumOf(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}
