import { asFailure } from "../core/failure.ts";
import { damageOf, withDatabase } from "./database.ts";
import { guarded } from "./store-failure.ts";

/** What is wrong with the store in that file; undefined when nothing is. It is only read. */
export function storeDamage(file: string): string | undefined {
  try {
    const database = withDatabase(file, { readOnly: true }, (opened) => opened);
    try {
      return guarded(file, () => damageOf(database));
    } finally {
      database.close();
    }
  } catch (error) {
    return asFailure(error).message;
  }
}
