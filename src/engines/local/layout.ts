import { createHash } from "node:crypto";
import { join } from "node:path";

/**
 * Where the local engine keeps its files, below the home folder:
 *
 *   runs/RUN/NODE/attempt-1/   work/ (the stage's private copy of the commit), process/ (shim files and log)
 *   runs/RUN/NODE/replica-1/   the same for a replica of a service
 *   names/NAMESPACE.hosts      names of the services as seen from inside a namespace
 *   ingress/                   routes, sockets and state of the ingress
 */
export interface Layout {
  readonly home: string;
  /** Of all runs. */
  readonly runsFolder: string;
  runFolder(runId: string): string;
  attemptFolder(runId: string, node: string, attempt: number): string;
  replicaFolder(runId: string, node: string, replica: number): string;
  hostsFile(namespace: string): string;
  readonly ingressFolder: string;
  readonly hookFolder: string;
}

export function createLayout(home: string): Layout {
  const runsFolder = join(home, "runs");
  const runFolder = (runId: string): string => join(runsFolder, runId);
  return {
    home,
    runsFolder,
    runFolder,
    attemptFolder: (runId, node, attempt) => join(runFolder(runId), folderName(node), `attempt-${attempt}`),
    replicaFolder: (runId, node, replica) => join(runFolder(runId), folderName(node), `replica-${replica}`),
    hostsFile: (namespace) => join(home, "names", `${folderName(namespace)}.hosts`),
    ingressFolder: join(home, "ingress"),
    hookFolder: join(home, "hook"),
  };
}

/** A name of any characters as one folder name; different names never share one. */
function folderName(name: string): string {
  if (/^[a-z0-9][a-z0-9_-]{0,62}$/.test(name)) return name;
  const digest = createHash("sha256").update(name).digest("hex").slice(0, 10);
  return `${name.replace(/[^A-Za-z0-9_-]+/g, "-").slice(0, 40)}-${digest}`;
}
