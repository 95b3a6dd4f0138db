import type { RunStore } from "../ports/run-store.ts";
import { documentText } from "./document-text.ts";
import type { Rows } from "./rows.ts";

export type DocumentRows = Pick<RunStore, "document" | "documents" | "saveDocument" | "removeDocument">;

export function createDocumentRows({ write, rows, one, parse }: Rows): DocumentRows {
  return {
    document: <T>(collection: string, key: string) =>
      one<T>("SELECT document FROM documents WHERE collection = ? AND key = ?", collection, key),
    documents: <T>(collection: string) =>
      new Map(
        rows<{ key: string; document: string }>(
          "SELECT key, document FROM documents WHERE collection = ? ORDER BY key",
          collection,
        ).map(({ key, document }) => [key, parse<T>(document)]),
      ),
    saveDocument: (collection, key, value) => {
      write(
        "INSERT OR REPLACE INTO documents (collection, key, document) VALUES (?, ?, ?)",
        collection,
        key,
        documentText(value),
      );
    },
    removeDocument: (collection, key) => {
      write("DELETE FROM documents WHERE collection = ? AND key = ?", collection, key);
    },
  };
}
