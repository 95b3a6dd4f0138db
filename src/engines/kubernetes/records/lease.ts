import type { Clock } from "../../../ports/clock.ts";
import type { Leases } from "../../../ports/leases.ts";
import { type Cluster, ClusterError, type KubernetesObject } from "../client/cluster.ts";
import { kinds } from "../client/kinds.ts";
import { numberAt, textAt } from "../client/objects.ts";
import { namespaceName } from "../manifests/names.ts";
import { labels, managementNamespace } from "../vocabulary.ts";
import { recordsFailure } from "./records-failure.ts";

export interface LeaseParts {
  readonly cluster: Cluster;
  readonly clock: Clock;
  /** Of this process: no other has it, now or later. */
  readonly identity: string;
  /** Where the Lease objects are. */
  readonly namespace?: string;
  /** Milliseconds after which a lease that was not renewed is free; 30,000. */
  readonly duration?: number;
  /** Milliseconds between two renewals; 10,000. */
  readonly renew?: number;
  /** Whether a holder is known to be dead: its lease is taken at once. Nobody by default. */
  readonly isGone?: (holder: string) => boolean;
}

/** How a namespace's lease is. */
export type LeaseState =
  /** Nobody has it, and nobody died with it. */
  | { readonly kind: "free" }
  | { readonly kind: "held"; readonly holder: string }
  /** Who had it is gone. */
  | { readonly kind: "expired"; readonly holder: string };

export interface ClusterLeases extends Leases {
  /**
   * `holder`, and who had it last. Takes up to the duration of a lease: that it has run out is only certain
   * when it was seen not to change for so long, for clocks of two machines can't be compared.
   */
  lookAt(namespace: string): Promise<LeaseState>;
  /**
   * Gives up at once what has run out by now. To be called before each change of the cluster: the timers of a
   * process that was stopped come late, and what it was about to do comes first.
   */
  check(): void;
}

/** As whoever waits is told: `run 20261123-190512345-k3f9`. */
const holderAnnotation = "bodywork.io/holder";
/** Milliseconds between two looks at a lease that another has. */
export const leaseRetry = 2_000;

/** Milliseconds between two looks at the clocks: a machine that was asleep notices it so soon. */
const tick = 1_000;

interface Moment {
  readonly monotonic: number;
  readonly wall: number;
}

/**
 * One Lease object for each pipeline's namespace, changed only with its resourceVersion. Others take it when
 * they have seen it unchanged for `duration`; its holder gives it up `duration`/6 before they may, by
 * whichever of its clocks has gone further since the last renewal (the monotonic one stops while the machine
 * sleeps).
 */
export function createLeases(parts: LeaseParts): ClusterLeases {
  const { cluster, clock, identity, namespace = managementNamespace } = parts;
  const { duration = 30_000, renew = 10_000, isGone = () => false } = parts;
  const patience = duration - duration / 6;
  /** Since when, by our own clock, each lease is as it is. */
  const observations = new Map<string, { readonly state: string; readonly since: number }>();
  const checks = new Set<() => void>();
  let taken = 0;

  return {
    async take(of, holder, signal, onWait) {
      let told: string | undefined;
      for (;;) {
        signal.throwIfAborted();
        const lease = await read(of);
        const state = stateOf(lease);
        if (state.kind === "held" && !isGone(state.holder)) {
          if (state.holder !== told) onWait(state.holder);
          told = state.holder;
          await sleep(leaseRetry, signal);
          continue;
        }
        const begun = moment();
        taken += 1;
        const mine = `${identity}-${taken}`;
        const got = await write(of, leaseOf(of, mine, holder, lease));
        if (got === undefined) continue; // Somebody else was faster.
        const kept = keep(of, mine, got, begun);
        if (!signal.aborted) return kept;
        await kept.release();
      }
    },
    async holder(of) {
      const state = await lookAt(of);
      return state.kind === "held" ? state.holder : undefined;
    },
    lookAt,
    check() {
      for (const check of checks) check();
    },
  };

  async function lookAt(of: string): Promise<LeaseState> {
    let first: string | undefined;
    for (;;) {
      const lease = await read(of);
      const state = stateOf(lease);
      if (lease === undefined || state.kind !== "held") return state;
      const now = changeOf(lease);
      first ??= now;
      // One that has just been renewed is said to be held at once: at worst its end is noticed by the next look.
      if (now !== first || isFresh(lease)) return state;
      await clock.sleep(Math.min(tick, renew));
    }
  }

  function keep(of: string, mine: string, got: KubernetesObject, begun: Moment) {
    const lost = new AbortController();
    const stop = new AbortController();
    let lease = got;
    let renewed = begun;
    const elapsed = (): number => {
      const now = moment();
      return Math.max(now.monotonic - renewed.monotonic, now.wall - renewed.wall);
    };
    const end = (): void => {
      checks.delete(check);
      stop.abort();
    };
    const lose = (): void => {
      end();
      lost.abort();
    };
    const check = (): void => {
      if (elapsed() >= patience) lose();
    };
    checks.add(check);
    void watchTime();
    void renewOn();
    return { release, lost: lost.signal };

    /** Beside the renewals, for one may hang. */
    async function watchTime(): Promise<void> {
      while (!stop.signal.aborted) {
        await sleep(Math.min(tick, patience - elapsed()), stop.signal).catch(() => {});
        if (!stop.signal.aborted) check();
      }
    }

    async function renewOn(): Promise<void> {
      while (!stop.signal.aborted) {
        await sleep(Math.min(tick, renew - elapsed()), stop.signal).catch(() => {});
        if (elapsed() < renew) continue;
        check();
        if (stop.signal.aborted) return;
        try {
          await renewOnce();
        } catch {
          // Until the time is over.
          await sleep(Math.min(leaseRetry, renew), stop.signal).catch(() => {});
        }
      }
    }

    async function renewOnce(): Promise<void> {
      const begun = moment();
      const next = await write(of, renewedLease(lease));
      if (next !== undefined) {
        lease = next;
        renewed = begun;
        return;
      }
      const found = await read(of);
      if (found === undefined || textAt(found, "spec", "holderIdentity") !== mine) return lose();
      lease = found; // An answer was lost, or somebody has labelled it.
    }

    /** What was lost is somebody else's by now, or runs out by itself. */
    async function release(): Promise<void> {
      end();
      while (!lost.signal.aborted) {
        const found = await read(of);
        if (found === undefined || textAt(found, "spec", "holderIdentity") !== mine) return;
        if ((await write(of, freeLease(found))) !== undefined) return;
      }
    }
  }

  /** Not held when it has been as it is for longer than its holder may take to renew it. */
  function stateOf(lease: KubernetesObject | undefined): LeaseState {
    const identityOfHolder = textAt(lease, "spec", "holderIdentity") ?? "";
    if (lease === undefined || identityOfHolder === "") return { kind: "free" };
    const { name } = lease.metadata;
    const state = changeOf(lease);
    const now = clock.monotonic();
    const known = observations.get(name);
    const since = known?.state === state ? known.since : now;
    observations.set(name, { state, since });
    const lasts = Math.max(duration, (numberAt(lease, "spec", "leaseDurationSeconds") ?? 0) * 1000);
    const holder = lease.metadata.annotations?.[holderAnnotation] ?? identityOfHolder;
    return { kind: now - since >= lasts ? "expired" : "held", holder };
  }

  function isFresh(lease: KubernetesObject): boolean {
    const age = clock.now().getTime() - Date.parse(textAt(lease, "spec", "renewTime") ?? "");
    return age >= 0 && age <= 1.2 * renew;
  }

  function leaseOf(
    of: string,
    mine: string,
    holder: string,
    former: KubernetesObject | undefined,
  ): KubernetesObject {
    const transitions = numberAt(former, "spec", "leaseTransitions");
    const now = microTime(clock.now());
    return {
      apiVersion: kinds.lease.apiVersion,
      kind: kinds.lease.kind,
      metadata: {
        ...(former?.metadata ?? { name: leaseName(of), namespace }),
        labels: {
          ...former?.metadata.labels,
          [labels.app]: labels.appValue,
          [labels.managedBy]: labels.appValue,
        },
        annotations: { ...former?.metadata.annotations, [holderAnnotation]: holder },
      },
      spec: {
        holderIdentity: mine,
        leaseDurationSeconds: Math.ceil(duration / 1000),
        acquireTime: now,
        renewTime: now,
        leaseTransitions: transitions === undefined ? 0 : transitions + 1,
      },
    };
  }

  function renewedLease(lease: KubernetesObject): KubernetesObject {
    return { ...lease, spec: { ...(lease.spec as object), renewTime: microTime(clock.now()) } };
  }

  function freeLease(lease: KubernetesObject): KubernetesObject {
    const { [holderAnnotation]: _, ...annotations } = lease.metadata.annotations ?? {};
    return {
      ...lease,
      metadata: { ...lease.metadata, annotations },
      spec: { ...(lease.spec as object), holderIdentity: "", renewTime: microTime(clock.now()) },
    };
  }

  async function read(of: string): Promise<KubernetesObject | undefined> {
    try {
      return await cluster.get(kinds.lease, { namespace, name: leaseName(of) });
    } catch (error) {
      throw recordsFailure(error, `take or keep the lease of namespace ${of}`, namespace);
    }
  }

  /** Undefined when it is not as it was when it was read. */
  async function write(of: string, lease: KubernetesObject): Promise<KubernetesObject | undefined> {
    const isNew = lease.metadata.resourceVersion === undefined;
    try {
      return isNew ? await cluster.create(lease) : await cluster.replace(lease);
    } catch (error) {
      const isClash =
        error instanceof ClusterError &&
        (error.kind === "conflict" ||
          error.kind === "already-exists" ||
          (error.kind === "not-found" && !isNew));
      if (isClash) return undefined;
      throw recordsFailure(error, `take or keep the lease of namespace ${of}`, namespace);
    }
  }

  function moment(): Moment {
    return { monotonic: clock.monotonic(), wall: clock.now().getTime() };
  }

  /** Rejects with the signal's reason. */
  async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
    try {
      await clock.sleep(Math.max(0, milliseconds), signal);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  }
}

function leaseName(namespace: string): string {
  return namespaceName(namespace);
}

/** What changes with each renewal, whatever others do to its labels. */
function changeOf({ spec }: KubernetesObject): string {
  return JSON.stringify([
    textAt(spec, "holderIdentity"),
    textAt(spec, "renewTime"),
    textAt(spec, "acquireTime"),
  ]);
}

/** Six digits behind the point, neither more nor fewer. */
function microTime(time: Date): string {
  return time.toISOString().replace("Z", "000Z");
}
