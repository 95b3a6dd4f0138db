import { Failure } from "../core/failure.ts";

/** What SQLite and the file system find, as a failure that says what to do. */
export function guarded<Result>(file: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (isDiskFull(error)) {
      throw new Failure("disk-full", `Cannot write to the store ${file}: the disk is full.`, {
        hint: "Free some space; services go on meanwhile.",
        cause: error,
      });
    }
    if (isOneOf(error, SQLITE_ERROR)) {
      // Our statements are right where the tables are those that we made.
      throw unusable(file, `it is damaged, or no store of ours (${(error as Error).message})`, error);
    }
    if (isDamage(error)) throw unusable(file, `it is damaged (${(error as Error).message})`, error);
    const isOutOfReach = isOneOf(error, SQLITE_IOERR, SQLITE_CANTOPEN, "EACCES", "EISDIR");
    if (isOutOfReach) {
      throw new Failure("store-damaged", `Cannot use the store ${file}: ${(error as Error).message}.`, {
        hint: "Services that run go on. See that the file can be read and written, and what the system says of the disk.",
        cause: error,
      });
    }
    throw error;
  }
}

export function unusable(file: string, found: string, cause?: unknown): Failure {
  return new Failure("store-damaged", `Cannot use the store ${file}: ${found}.`, {
    hint: "Services that run go on. Bring back a backup with `bodywork server restore`, or move the file away to start with an empty store.",
    cause,
  });
}

export function isDiskFull(error: unknown): boolean {
  return isOneOf(error, SQLITE_FULL, "ENOSPC", "EDQUOT");
}

/** Of the file itself, or of a document in it. */
function isDamage(error: unknown): boolean {
  return isOneOf(error, SQLITE_CORRUPT, SQLITE_NOTADB) || error instanceof SyntaxError;
}

/** https://sqlite.org/rescode.html; the higher bits only say more. */
const SQLITE_ERROR = 1;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

function isOneOf(error: unknown, ...codes: readonly (number | string)[]): boolean {
  if (!(error instanceof Error)) return false;
  const ofSqlite = "errcode" in error ? Number(error.errcode) & 0xff : undefined;
  return codes.some((code) => code === ofSqlite || ("code" in error && code === error.code));
}
