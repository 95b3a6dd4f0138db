import { readdirSync } from "node:fs";
import { join } from "node:path";

import type { Store } from "../../../src/ports/store.ts";
import { type KeySources, type OpenSecrets, openSecrets } from "../../../src/secrets/open-secrets.ts";

export const clock = { now: () => new Date("2026-11-25T09:00:00.000Z") };

export const keysFolder = (home: string): string => join(home, "keys");

/** The secrets of a home folder, with its key file unless a test says otherwise. */
export async function openHome(
  home: string,
  open: (file: string) => Store,
  sources: Partial<KeySources> = {},
): Promise<OpenSecrets & { readonly store: Store }> {
  const store = open(join(home, "store.db"));
  const nowhere = { variable: undefined, previousVariable: undefined, command: undefined, environment: {} };
  try {
    return {
      store,
      ...(await openSecrets({ folder: keysFolder(home), ...nowhere, ...sources }, store, clock)),
    };
  } catch (error) {
    store.close();
    throw error;
  }
}

/** Names of the key files that there are. */
export function keyFiles(home: string): readonly string[] {
  return readdirSync(keysFolder(home)).sort();
}
