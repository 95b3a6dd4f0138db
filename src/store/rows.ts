import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";

import { parseDocument } from "./document-text.ts";
import { guarded } from "./store-failure.ts";

/** The statements on one database. Tables keep a document (document-text.ts) beside the columns that are searched. */
export interface Rows {
  /** How many rows it changed. */
  write(sql: string, ...values: SQLInputValue[]): number;
  rows<Row>(sql: string, ...values: SQLInputValue[]): Row[];
  /** The document of the first row. */
  one<Document>(sql: string, ...values: SQLInputValue[]): Document | undefined;
  /** The document of each row. */
  all<Document>(sql: string, ...values: SQLInputValue[]): Document[];
  parse<Document>(text: string): Document;
  /** All of the work in one transaction, or none of it. */
  together<Result>(work: () => Result): Result;
  /** For what is no statement on rows. */
  execute(sql: string): void;
}

export function createRows(database: DatabaseSync, file: string): Rows {
  const statements = new Map<string, StatementSync>();
  const prepare = (sql: string): StatementSync => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = database.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  const rows: Rows["rows"] = <Row>(sql: string, ...values: SQLInputValue[]) =>
    guarded(file, () => prepare(sql).all(...values) as Row[]);
  const parse: Rows["parse"] = <Document>(text: string) =>
    guarded(file, () => parseDocument(text) as Document);
  const all: Rows["all"] = <Document>(sql: string, ...values: SQLInputValue[]) =>
    rows<{ document: string }>(sql, ...values).map(({ document }) => parse<Document>(document));

  return {
    write: (sql, ...values) => guarded(file, () => Number(prepare(sql).run(...values).changes)),
    rows,
    one: <Document>(sql: string, ...values: SQLInputValue[]) => all<Document>(sql, ...values)[0],
    all,
    parse,
    together: (work) =>
      guarded(file, () => {
        database.exec("BEGIN IMMEDIATE");
        try {
          const result = work();
          database.exec("COMMIT");
          return result;
        } catch (error) {
          // A full disk ends some transactions by itself.
          if (database.isTransaction) database.exec("ROLLBACK");
          throw error;
        }
      }),
    execute: (sql) => guarded(file, () => database.exec(sql)),
  };
}
