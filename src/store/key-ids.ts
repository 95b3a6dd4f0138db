import type { DatabaseSync } from "node:sqlite";

import { versionOf, withDatabase } from "./database.ts";

/** The migration that has made the table of secrets. */
const versionWithSecrets = 2;

/** The master keys, by id, that secrets of the store are sealed with. */
export function keyIdsIn(database: DatabaseSync): ReadonlySet<string> {
  if (versionOf(database) < versionWithSecrets) return new Set();
  const rows = database.prepare("SELECT DISTINCT key_id FROM secrets").all();
  return new Set(rows.map(({ key_id: id }) => String(id)));
}

/** The same of the store in that file, which is only read. Fails: store-damaged. */
export function keyIdsOfStore(file: string): ReadonlySet<string> {
  return withDatabase(file, { readOnly: true }, (database) => {
    const ids = keyIdsIn(database);
    database.close();
    return ids;
  });
}
