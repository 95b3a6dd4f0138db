import type { AccessStore, AccessToken, AuditEntry } from "../ports/access-store.ts";
import { documentText } from "./document-text.ts";
import type { Rows } from "./rows.ts";

/** Of refused tokens fewer are kept, and apart from the others: who has no token must not push out what was done. */
const keptEntries = { done: 10_000, refused: 1_000 };

export function createAccessRows({ write, one, all, together }: Rows): AccessStore {
  return {
    tokens: () => all<AccessToken>("SELECT document FROM tokens ORDER BY rowid"),
    auditEntries: (limit) =>
      all<AuditEntry>("SELECT document FROM audit ORDER BY number DESC LIMIT ?", limit),

    saveToken: (token, hash) => {
      write(
        `INSERT INTO tokens (id, hash, document) VALUES (?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, document = excluded.document`,
        token.id,
        hash,
        documentText(token),
      );
    },
    tokenOfHash: (hash) => one<AccessToken>("SELECT document FROM tokens WHERE hash = ?", hash),
    touchToken: (id, at) =>
      together(() => {
        const token = one<AccessToken>("SELECT document FROM tokens WHERE id = ?", id);
        if (token === undefined) return;
        write("UPDATE tokens SET document = ? WHERE id = ?", documentText({ ...token, lastUsedAt: at }), id);
      }),
    removeToken: (id) => write("DELETE FROM tokens WHERE id = ?", id) > 0,
    addAuditEntry: (entry) =>
      together(() => {
        const refused = entry.what === "refused token" ? 1 : 0;
        write("INSERT INTO audit (refused, document) VALUES (?, ?)", refused, documentText(entry));
        write(
          `DELETE FROM audit WHERE refused = ? AND number <=
           (SELECT number FROM audit WHERE refused = ? ORDER BY number DESC LIMIT 1 OFFSET ?)`,
          refused,
          refused,
          refused === 1 ? keptEntries.refused : keptEntries.done,
        );
      }),
  };
}
