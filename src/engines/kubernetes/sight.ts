import type { Clock } from "../../ports/clock.ts";
import type { Cluster, Kind, KubernetesObject, Selection } from "./client/cluster.ts";

/** What is in the cluster of several selections, kept up to date by watches. */
export interface Sight<Name extends string> {
  readonly found: Readonly<Record<Name, readonly KubernetesObject[]>>;
  /** Resolves with the next change, one that was not waited for included, or after the time. Fails: as `Cluster.watch`. */
  changed(seconds?: number): Promise<void>;
  /** Makes `changed` resolve. */
  wake(): void;
  close(): void;
}

/** Begins to watch; everything has been listed once when it resolves. The signal only wakes who waits. */
export async function watchAll<Name extends string>(
  cluster: Cluster,
  selections: Readonly<Record<Name, readonly [Kind, Selection]>>,
  clock: Clock,
  signal: AbortSignal,
): Promise<Sight<Name>> {
  const stop = new AbortController();
  const objects = new Map<Name, Map<string, KubernetesObject>>();
  const failures: unknown[] = [];
  let news = false;
  let wakeUp = (): void => {};
  const wake = (): void => {
    news = true;
    wakeUp();
  };
  const names = Object.keys(selections) as Name[];
  const listed = names.map((name) => {
    const first = Promise.withResolvers<void>();
    const [kind, selection] = selections[name];
    void follow(name, kind, selection, first.resolve).catch((error: unknown) => {
      if (stop.signal.aborted) return;
      failures.push(error);
      first.reject(error);
      wake();
    });
    return first.promise;
  });
  signal.addEventListener("abort", wake, { signal: stop.signal });
  if (signal.aborted) wake();
  try {
    await Promise.all(listed);
  } catch (error) {
    stop.abort();
    await Promise.allSettled(listed);
    throw error;
  }
  return {
    get found() {
      return Object.fromEntries(
        names.map((name) => [name, [...(objects.get(name)?.values() ?? [])]]),
      ) as unknown as Record<Name, readonly KubernetesObject[]>;
    },
    async changed(seconds = Number.POSITIVE_INFINITY) {
      if (failures.length > 0) throw failures[0];
      if (!news) await waitForNews(seconds);
      news = false;
      if (failures.length > 0) throw failures[0];
    },
    wake,
    close: () => stop.abort(),
  };

  async function follow(name: Name, kind: Kind, selection: Selection, onListed: () => void): Promise<void> {
    const own = new Map<string, KubernetesObject>();
    objects.set(name, own);
    for await (const event of cluster.watch(kind, selection, stop.signal)) {
      if (event.type === "listed") {
        own.clear();
        for (const object of event.objects) own.set(keyOf(object), object);
        onListed();
      } else if (event.type === "gone") {
        own.delete(keyOf(event.object));
      } else {
        own.set(keyOf(event.object), event.object);
      }
      wake();
    }
  }

  async function waitForNews(seconds: number): Promise<void> {
    const awake = new AbortController();
    const woken = new Promise<void>((resolve) => {
      wakeUp = resolve;
    });
    // A timer takes no more milliseconds than fit into 31 bits; longer waits end early, which does no harm.
    const time = Math.min(Math.max(0, seconds) * 1000, 2 ** 31 - 1);
    const slept = clock.sleep(time, awake.signal).catch(() => {});
    await Promise.race([woken, slept]);
    awake.abort();
    wakeUp = () => {};
  }
}

/** Seconds that objects may take to go, each with its grace. */
const mostWait = 120;

/** Waits until none of these is left; false when some still are after two minutes. */
export async function untilNone(
  cluster: Cluster,
  kind: Kind,
  selection: Selection,
  clock: Clock,
  isMeant: (object: KubernetesObject) => boolean = () => true,
): Promise<boolean> {
  const sight = await watchAll(cluster, { left: [kind, selection] }, clock, new AbortController().signal);
  const end = clock.monotonic() + mostWait * 1000;
  try {
    while (sight.found.left.some(isMeant)) {
      const left = (end - clock.monotonic()) / 1000;
      if (left <= 0) return false;
      await sight.changed(left);
    }
    return true;
  } finally {
    sight.close();
  }
}

function keyOf({ metadata }: KubernetesObject): string {
  return `${metadata.namespace ?? ""}/${metadata.name}`;
}
