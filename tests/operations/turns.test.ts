import { expect, test } from "vitest";
import { createTurns } from "../../src/operations/turns.ts";

const never = new AbortController().signal;

test("turns of one key are given in the order they were asked for, and whoever waits is told for whom", async () => {
  const turns = createTurns();
  const told: string[] = [];
  const order: string[] = [];
  const take = async (holder: string): Promise<void> => {
    const end = await turns.take("key", holder, never, (other) => told.push(`${holder} waits for ${other}`));
    order.push(holder);
    await new Promise((resolve) => setImmediate(resolve));
    order.push(`${holder} ends`);
    end();
  };
  await Promise.all(["a", "b", "c"].map(take));
  expect(order).toEqual(["a", "a ends", "b", "b ends", "c", "c ends"]);
  expect(told).toEqual(["b waits for a", "c waits for b"]);
});

test("different keys do not wait for each other", async () => {
  const turns = createTurns();
  await turns.take("one", "a", never, () => {});
  await turns.take("two", "b", never, () => {});
});

test("who gives up while waiting passes the turn on only after the one before", async () => {
  const turns = createTurns();
  const endFirst = await turns.take("key", "a", never, () => {});
  const leave = new AbortController();
  const second = turns.take("key", "b", leave.signal, () => {});
  let thirdHasIt = false;
  const third = turns
    .take("key", "c", never, () => {})
    .then(() => {
      thirdHasIt = true;
    });
  leave.abort(new Error("left"));
  await expect(second).rejects.toThrow("left");
  await new Promise((resolve) => setImmediate(resolve));
  expect(thirdHasIt).toBe(false);
  endFirst();
  await third;
});
