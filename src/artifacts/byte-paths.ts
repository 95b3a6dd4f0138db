/**
 * Stages name files as they like, not always in UTF-8. In this room a path below an artifact is a byte string: one
 * character for each byte (`latin1`), so that every name is kept as it is and sorts the same everywhere.
 */
export type BytePath = string;

export function toBytePath(path: string): BytePath {
  return Buffer.from(path).toString("latin1");
}

/** What the file system is given. */
export function bytesOfPath(path: BytePath): Buffer {
  return Buffer.from(path, "latin1");
}

/** For messages. */
export function shownPath(path: BytePath): string {
  return bytesOfPath(path).toString();
}
