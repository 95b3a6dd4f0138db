import { expect, test } from "vitest";
import { createRunSlots } from "../../src/operations/run-slots.ts";

const never = new AbortController().signal;
const nothing = (): void => {};

test("as many as there are slots go on at once; the others wait in order, but for those that are to go first", async () => {
  const slots = createRunSlots(2);
  const order: string[] = [];
  const waited: string[] = [];
  const take = async (name: string): Promise<() => void> => {
    const giveBack = await slots.take(name.startsWith("first"), never, () => waited.push(name));
    order.push(name);
    return giveBack;
  };
  const taken = ["a", "b", "c", "first d", "e", "first f"].map(take);
  for (const next of [0, 1, 3, 5, 2, 4]) (await taken[next])?.();
  expect(waited).toEqual(["c", "first d", "e", "first f"]);
  expect(order).toEqual(["a", "b", "first d", "first f", "c", "e"]);
});

test("a slot that is given back twice is one slot", async () => {
  const slots = createRunSlots(1);
  const giveBack = await slots.take(false, never, nothing);
  giveBack();
  giveBack();
  await slots.take(false, never, nothing);
  let waits = false;
  void slots.take(false, never, () => {
    waits = true;
  });
  expect(waits).toBe(true);
});

test("who gives up, or can't say that it waits, gets no slot and keeps none from others", async () => {
  const slots = createRunSlots(1);
  const giveBack = await slots.take(false, never, nothing);
  const stop = new AbortController();
  const gaveUp = slots.take(false, stop.signal, nothing);
  const full = (): void => {
    throw new Error("the disk is full");
  };
  await expect(slots.take(false, never, full)).rejects.toThrow("the disk is full");
  const last = slots.take(false, never, nothing);
  stop.abort(new Error("cancelled"));
  await expect(gaveUp).rejects.toThrow("cancelled");
  giveBack();
  (await last)();
  await expect(slots.take(false, stop.signal, nothing)).resolves.toBeTypeOf("function");
});
