import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Failure } from "../../src/core/failure.ts";
import { createLeasedTurns } from "../../src/operations/leased-turns.ts";
import type { Leases } from "../../src/ports/leases.ts";

const never = new AbortController().signal;
const nobody = (): void => {};

/** One lease for all who ask, as two controllers on two machines see it. */
function oneLease() {
  const story: string[] = [];
  const lost = new AbortController();
  let holder: string | undefined;
  let freed = Promise.withResolvers<void>();
  const leases: Leases = {
    async take(_namespace, wants, signal, onWait) {
      while (holder !== undefined) {
        onWait(holder);
        await freed.promise;
        signal.throwIfAborted();
      }
      holder = wants;
      freed = Promise.withResolvers<void>();
      story.push(`${wants} has the lease`);
      return {
        lost: lost.signal,
        async release() {
          story.push(`${wants} gives it back`);
          holder = undefined;
          freed.resolve();
        },
      };
    },
    holder: async () => holder,
  };
  const controller = (onTaken: () => Promise<void> = async () => {}) => {
    const lostOf: Failure[] = [];
    const turns = createLeasedTurns({
      leases,
      onTaken,
      onLost: (_namespace, failure) => lostOf.push(failure),
      beforeRelease: async () => void story.push("all is written"),
    });
    return { turns, lostOf };
  };
  return { controller, story, lost };
}

test("who has the turn on one machine keeps controllers of other machines waiting, who are told whose end they wait for", async () => {
  const { controller, story } = oneLease();
  const [one, other] = [controller().turns, controller().turns];
  const end = await one.take("shop", "run 1", never, nobody);
  const waited: string[] = [];
  const second = other.take("shop", "run 2", never, (holder) => waited.push(holder));
  await sleep(5);
  expect(waited).toEqual(["run 1"]);
  end();
  (await second)();
  await Promise.all([one.ended(), other.ended()]);
  expect(story).toEqual([
    "run 1 has the lease",
    "all is written",
    "run 1 gives it back",
    "run 2 has the lease",
    "all is written",
    "run 2 gives it back",
  ]);
});

test("what others have done is read between the lease and the turn; when it can't be read there is no turn, and the next may come", async () => {
  const { controller } = oneLease();
  const { turns } = controller(async () => {
    throw new Error("the cluster does not answer");
  });
  await expect(turns.take("shop", "run 1", never, nobody)).rejects.toThrow("does not answer");
  const end = await controller().turns.take("shop", "run 2", never, nobody);
  end();
});

test("who was asleep for too long is told that another has taken over", async () => {
  const { controller, lost } = oneLease();
  const { turns, lostOf } = controller();
  await turns.take("shop", "run 1", never, nobody);
  lost.abort();
  expect(lostOf.map(({ code, message }) => [code, message])).toEqual([
    ["superseded", expect.stringContaining("Another controller has taken over namespace shop")],
  ]);
});
