import type { AccessStore, AuditEntry } from "../ports/access-store.ts";

export interface AuditLog {
  /** Fails when it can't be stored. */
  add(entry: Omit<AuditEntry, "at">): void;
  /** For what has been done already, or was refused: that it can't be stored is told in the server's log, and no more. */
  tell(entry: Omit<AuditEntry, "at">): void;
}

export function createAuditLog(parts: {
  readonly store: Pick<AccessStore, "addAuditEntry">;
  readonly now: () => Date;
  /** Into the server's log. */
  readonly report: (text: string) => void;
}): AuditLog {
  const add = (entry: Omit<AuditEntry, "at">): void =>
    parts.store.addAuditEntry({ at: parts.now().toISOString(), ...entry });
  return {
    add,
    tell(entry) {
      try {
        add(entry);
      } catch (error) {
        const { who, from, what, on, result } = entry;
        parts.report(`Cannot write the audit log (${error}): ${who} from ${from}: ${what} ${on}: ${result}`);
      }
    },
  };
}
