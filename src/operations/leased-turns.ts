import { Failure } from "../core/failure.ts";
import type { Leases } from "../ports/leases.ts";
import { createTurns, type Turns } from "./turns.ts";

/** What is done about a lease between the taking of it and the turn. */
export interface LeasedTurnParts {
  readonly leases: Leases;
  /** The namespace is this controller's: what others have done there is read before anything is decided. */
  readonly onTaken: (namespace: string) => Promise<void>;
  /** It was taken away, for it could not be kept: from here on nothing may be written. */
  readonly onLost: (namespace: string, failure: Failure) => void;
  /** All that was written is there, before somebody else may come. */
  readonly beforeRelease: () => Promise<void>;
}

/** Turns that count for controllers on other machines, too: whose turn it is here then waits for the namespace's lease. */
export function createLeasedTurns(parts: LeasedTurnParts): Turns & { readonly ended: () => Promise<void> } {
  const turns = createTurns();
  const releasing = new Set<Promise<void>>();
  return {
    async take(namespace, holder, signal, onWait) {
      const endTurn = await turns.take(namespace, holder, signal, onWait);
      try {
        const lease = await parts.leases.take(namespace, holder, signal, onWait);
        lease.lost.addEventListener("abort", () => parts.onLost(namespace, lostLease(namespace)), {
          once: true,
        });
        const end = (): void => {
          const released = release(lease.release).finally(() => {
            releasing.delete(released);
            endTurn();
          });
          releasing.add(released);
        };
        await parts.onTaken(namespace).catch((error: unknown) => {
          end();
          throw error;
        });
        return end;
      } catch (error) {
        endTurn();
        throw error;
      }
    },
    async ended() {
      await Promise.all(releasing);
    },
  };

  /** A lease that can't be given back runs out by itself. */
  async function release(giveBack: () => Promise<void>): Promise<void> {
    await parts.beforeRelease().catch(() => {});
    await giveBack().catch(() => {});
  }
}

function lostLease(namespace: string): Failure {
  return new Failure(
    "superseded",
    `Another controller has taken over namespace ${namespace}: this one could not reach the cluster, or was asleep, for too long.`,
    { hint: "See what became of the run with: bodywork get runs" },
  );
}
