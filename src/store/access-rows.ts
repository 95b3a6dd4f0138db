import type { AccessStore, AccessToken, AuditEntry } from "../ports/access-store.ts";
import { documentText } from "./document-text.ts";
import type { Rows } from "./rows.ts";

const keptAuditEntries = 10_000;

export function createAccessRows({ write, rows, one, all, together }: Rows): AccessStore {
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
        const [row] = rows<{ last: number | null }>("SELECT max(number) AS last FROM audit");
        const number = (row?.last ?? 0) + 1;
        write("INSERT INTO audit (number, document) VALUES (?, ?)", number, documentText(entry));
        write("DELETE FROM audit WHERE number <= ?", number - keptAuditEntries);
      }),
  };
}
