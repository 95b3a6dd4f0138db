import { onTestFinished } from "vitest";

import type {
  Cluster,
  KubernetesObject,
  WatchEvent,
} from "../../../../src/engines/kubernetes/client/cluster.ts";
import { type ConnectOptions, connectCluster } from "../../../../src/engines/kubernetes/client/connect.ts";
import {
  type ScriptedApi,
  type ScriptedApiOptions,
  startScriptedApi,
} from "../../../support/scripted-api.ts";

/** A scripted API server and a client of it, until the test has finished. Of both, what they have seen of each other so far is gone. */
export async function scripted(
  options: Partial<ConnectOptions> & ScriptedApiOptions = {},
): Promise<{ readonly api: ScriptedApi; readonly cluster: Cluster }> {
  const api = await startScriptedApi(options);
  onTestFinished(api.stop);
  const cluster = await connected(api, options);
  return { api, cluster };
}

export async function connected(api: ScriptedApi, options: Partial<ConnectOptions> = {}): Promise<Cluster> {
  const cluster = await connectCluster({
    kubeconfigFiles: api.kubeconfig,
    inCluster: false,
    version: "4.0.0",
    ...options,
  });
  onTestFinished(cluster.close);
  return cluster;
}

export function configMap(name: string, more: Readonly<Record<string, unknown>> = {}): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: "default" },
    data: { a: "1" },
    ...more,
  };
}

/** What the client sees from now on: names of objects, kept up to date by the events. */
export function follow(events: AsyncIterable<WatchEvent>): {
  readonly names: () => readonly string[];
  readonly lists: () => number;
  /** Rejects as the watch does. */
  readonly ended: Promise<void>;
} {
  const seen = new Map<string, KubernetesObject>();
  let lists = 0;
  const ended = (async () => {
    for await (const event of events) {
      if (event.type === "listed") {
        lists++;
        seen.clear();
        for (const object of event.objects) seen.set(object.metadata.name, object);
      } else if (event.type === "gone") seen.delete(event.object.metadata.name);
      else seen.set(event.object.metadata.name, event.object);
    }
  })();
  ended.catch(() => {});
  return { names: () => [...seen.keys()].sort(), lists: () => lists, ended };
}
