import type { KubernetesSettings } from "../../core/settings.ts";
import type { Clock } from "../../ports/clock.ts";
import type { TaskObserver } from "../../ports/engine.ts";
import type { Source } from "../../ports/source.ts";
import type { Cluster } from "./client/cluster.ts";
import type { Images } from "./images/check-image.ts";
import type { Logs } from "./logs.ts";
import type { ClusterStore } from "./records/records.ts";
import type { ClusterSecrets } from "./secrets/cluster-secrets.ts";
import type { LiveServices } from "./services.ts";
import type { Sources } from "./sources.ts";

/** What the engine is made of. */
export interface KubernetesEngineParts {
  readonly cluster: Cluster;
  readonly store: Pick<
    ClusterStore,
    "document" | "documents" | "saveDocument" | "removeDocument" | "unfinishedRuns" | "settled"
  >;
  readonly source: Pick<Source, "archive">;
  readonly secrets: Pick<ClusterSecrets, "replicate" | "copyOne">;
  readonly images: Images;
  readonly settings: KubernetesSettings;
  readonly clock: Clock;
}

/** What the rooms of the engine share. */
export interface EngineRooms extends KubernetesEngineParts {
  readonly logs: Logs;
  readonly sources: Sources;
  readonly services: LiveServices;
}

/** Notes that are told once each, however often they are found. */
export function noteOnce(observer: Pick<TaskObserver, "note">): (text: string) => void {
  const told = new Set<string>();
  return (text) => {
    if (told.has(text)) return;
    told.add(text);
    observer.note("warning", text);
  };
}

/** `timeout at [26/11/26 09:30:00] (210s)`: as the original says it, in the machine's time. */
export function timeoutText(seconds: number, now: Date): string {
  const at = new Date(now.getTime() + seconds * 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = [at.getDate(), at.getMonth() + 1, at.getFullYear() % 100].map(two).join("/");
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  return `timeout at [${day} ${time}] (${seconds}s)`;
}
