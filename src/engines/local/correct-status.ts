import { dirname, join } from "node:path";

import type { ReplicaStatus, ServiceStatus } from "../../core/run-state.ts";
import { processLives } from "./processes/process-folder.ts";
import { stateOf } from "./service-status.ts";

/** What the store says of a service, corrected by which of its processes live: its server may be dead, or the machine anew. */
export function correctStatus(home: string): (service: ServiceStatus) => ServiceStatus {
  return (service) => {
    const replicas = service.replicas.map((replica) => correctReplica(replica, home));
    if (replicas.every((replica, index) => replica === service.replicas[index])) return service;
    const ready = replicas.filter(({ state }) => state === "ready").length;
    const state = stateOf(replicas, service.state === "crash-loop");
    const reason = `${ready} of ${replicas.length} replicas are ready`;
    return { ...service, replicas, readyReplicas: ready, state, reason };
  };
}

/** The log of a replica lies in the folder of its process. */
function correctReplica(replica: ReplicaStatus, home: string): ReplicaStatus {
  if (replica.state !== "ready" || processLives(dirname(join(home, replica.log)))) return replica;
  return { ...replica, state: "stopped", pid: undefined };
}
