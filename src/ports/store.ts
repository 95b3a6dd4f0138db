/** The one store of a home folder, as wiring knows it. */

import type { AccessReader, AccessStore } from "./access-store.ts";
import type { JobReader, JobStore } from "./job-store.ts";
import type { RunReader, RunStore } from "./run-store.ts";
import type { SecretReader, SecretRows } from "./secrets.ts";

export interface StoreReader extends RunReader, JobReader, SecretReader, AccessReader {}

export interface Store extends RunStore, JobStore, SecretRows, AccessStore {
  /** A whole copy beside the running writer, made and checked under a temporary name and renamed. Fails: disk-full. */
  backup(file: string): Promise<void>;
}
