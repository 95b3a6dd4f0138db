import { expect, test } from "vitest";
import type { Ingress } from "../../../../src/engines/local/ingress/ingress.ts";
import { readIngressState } from "../../../../src/engines/local/ingress/ingress-state.ts";
import { readRoutes } from "../../../../src/engines/local/ingress/routes.ts";
import { ask } from "./support/ask.ts";
import { occupy } from "./support/occupy.ts";
import { addressOf, ingressFolder, ingressOf, startReplica } from "./support/processes.ts";
import { loopbackAddress, routeTo } from "./support/routes.ts";

/** A server that starts with this `listen` in its settings, the earlier one having ended. */
async function restarted(folder: string, setting: string | undefined, earlier?: Ingress): Promise<Ingress> {
  earlier?.release();
  const ingress = ingressOf(folder, { setting });
  if (earlier === undefined) await ingress.apply([routeTo([(await startReplica()).address])]);
  else await ingress.start();
  return ingress;
}

function anAddress(): string {
  const { host, port } = loopbackAddress(8090);
  return `${host}:${port}`;
}

test("the setting says where it listens, also when it is changed later; the old listener closes", async () => {
  const folder = ingressFolder();
  const [one, two] = [anAddress(), anAddress()];
  const first = await restarted(folder, one);
  expect(first.publicUrl()).toBe(`http://${one}`);
  const second = await restarted(folder, two, first);
  expect(second.publicUrl()).toBe(`http://${two}`);
  expect((await ask(addressOf(`http://${two}`), "/shop/stage-1/")).status).toBe(200);
  await expect(ask(addressOf(`http://${one}`), "/shop/stage-1/")).rejects.toThrow("ECONNREFUSED");
  expect(readIngressState(folder).publicUrl).toBe(`http://${two}`);
}, 30_000);

test("a setting that comes after the ingress was first opened counts too", async () => {
  const folder = ingressFolder();
  const first = await restarted(folder, undefined);
  const wanted = anAddress();
  expect(first.publicUrl()).not.toBe(`http://${wanted}`);
  const second = await restarted(folder, wanted, first);
  expect(second.publicUrl()).toBe(`http://${wanted}`);
  const third = await restarted(folder, undefined, second);
  expect(third.publicUrl(), "without the setting it stays").toBe(`http://${wanted}`);
}, 30_000);

test("what --listen asks for stays while the setting is as it was, and gives way when the setting is changed", async () => {
  const folder = ingressFolder();
  const [setting, asked, changed] = [anAddress(), anAddress(), anAddress()];
  const first = await restarted(folder, setting);
  await first.listen(asked);
  expect(first.publicUrl()).toBe(`http://${asked}`);
  const second = await restarted(folder, setting, first);
  expect(second.publicUrl()).toBe(`http://${asked}`);
  const third = await restarted(folder, changed, second);
  expect(third.publicUrl()).toBe(`http://${changed}`);
}, 30_000);

test("what --listen asks for wins over a setting that is changed at the same time, and over it the next time", async () => {
  const folder = ingressFolder();
  const [setting, changed, asked] = [anAddress(), anAddress(), anAddress()];
  const first = await restarted(folder, setting);
  const second = await restarted(folder, changed, first);
  await second.listen(asked);
  expect(second.publicUrl()).toBe(`http://${asked}`);
  const third = await restarted(folder, changed, second);
  expect(third.publicUrl()).toBe(`http://${asked}`);
}, 30_000);

test("a setting that was taken out and put back counts as new", async () => {
  const folder = ingressFolder();
  const [setting, asked] = [anAddress(), anAddress()];
  const first = await restarted(folder, setting);
  await first.listen(asked);
  const second = await restarted(folder, undefined, first);
  expect(second.publicUrl()).toBe(`http://${asked}`);
  const third = await restarted(folder, setting, second);
  expect(third.publicUrl()).toBe(`http://${setting}`);
}, 30_000);

test("a setting whose port is taken leaves what was open as it is, is told, and is tried again by the next server", async () => {
  const folder = ingressFolder();
  const first = await restarted(folder, undefined);
  const before = first.publicUrl();
  first.release();
  const wanted = anAddress();
  const release = await occupy(addressOf(`http://${wanted}`));
  const told: string[] = [];
  const second = ingressOf(folder, { setting: wanted, notify: (text) => told.push(text) });
  await second.start();
  const note = `Cannot open the ingress as the settings have it: ${wanted} is taken. It stays at ${before}.`;
  expect([second.publicUrl(), second.note(), told]).toEqual([before, note, [note]]);
  expect((await fetch(`${before}/shop/stage-1/`)).status).toBe(200);
  await second.apply(readRoutes(folder).routes);
  expect(told, "it is not tried with each roll-out").toHaveLength(1);
  await release();
  const third = await restarted(folder, wanted, second);
  expect([third.publicUrl(), third.note()]).toEqual([`http://${wanted}`, undefined]);
}, 30_000);

test("a setting whose port is taken when the ingress is first opened is refused: no other port is as good", async () => {
  const folder = ingressFolder();
  const wanted = anAddress();
  await occupy(addressOf(`http://${wanted}`));
  const ingress = ingressOf(folder, { setting: wanted });
  await expect(ingress.apply([routeTo([])])).rejects.toMatchObject({ code: "port-taken" });
  expect(ingress.publicUrl()).toBeUndefined();
});

test("a setting that is no address is refused before anything is started", () => {
  expect(() => ingressOf(ingressFolder(), { setting: "here:99999" })).toThrow(
    expect.objectContaining({ code: "usage", message: expect.stringContaining("here:99999") }),
  );
});
