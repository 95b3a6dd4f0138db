import { readdir } from "node:fs/promises";

import type { ServiceTask } from "../../core/run-state.ts";
import type { AddressBook } from "./address-book.ts";
import type { Layout } from "./layout.ts";
import type { ReplicaRecord } from "./replica.ts";

/**
 * The replicas of a service before their first start, each with an address of its own. A release that is put back has run
 * before: its earlier starts keep their folders and logs.
 */
export async function chooseReplicas(
  task: ServiceTask,
  layout: Layout,
  addresses: AddressBook,
): Promise<readonly ReplicaRecord[]> {
  const records: ReplicaRecord[] = [];
  for (let id = 1; id <= task.stage.replicas; id++) {
    const address = await addresses.forReplica(task.stage.port);
    const starts = await lastStart(layout.replicaFolder(task.runId, task.node, id));
    records.push({ id, address, starts, startsBefore: starts, target: address });
  }
  return records;
}

async function lastStart(folder: string): Promise<number> {
  const names = await readdir(folder).catch((): string[] => []);
  return Math.max(0, ...names.map((name) => Number(/^start-(\d+)$/.exec(name)?.[1] ?? 0)));
}
