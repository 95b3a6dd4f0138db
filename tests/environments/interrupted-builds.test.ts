import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { aMachine, hasUv, keysIn, python, request, settled, startBuilding } from "./support/machine.ts";
import { makeSdist, makeWheel } from "./support/packages.ts";

describe.skipIf(!hasUv)("environments whose builder is killed or cancelled", () => {
  test("a builder that is killed in the middle leaves nothing in use, and the next one builds at once", async () => {
    const machine = aMachine();
    for (const version of ["1", "2", "3"]) {
      const started = join(machine.packages, `started-${version}`);
      await makeSdist(
        machine.packages,
        "slow_one",
        version,
        `open(${JSON.stringify(started)}, "w").close(); import time; time.sleep(0.4)`,
      );
      const builder = startBuilding(machine, `slow-one==${version}`);
      while (!existsSync(started)) await sleep(5);
      await builder.kill();
      const wanted = request([`slow-one==${version}`]);
      expect(machine.environments.find(wanted)).toBeUndefined();
      const made = await machine.environments.prepare(wanted);
      expect(made.built).toBe(true);
      expect(await python(made, "import slow_one; print(slow_one.version)")).toBe(version);
    }
    await sleep(500); // The installer of the killed builder may run on for as long as its package takes.
    await machine.environments.sweep({ keep: new Set(keysIn(machine.folder)), unusedSince: new Date(0) });
    expect(readdirSync(machine.folder).filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("killed at any moment, an environment is found whole or not at all", async () => {
    const machine = aMachine();
    const files = Object.fromEntries(
      Array.from({ length: 300 }, (_, index) => [`many/m${index}.py`, "x = 1\n"]),
    );
    const outcomes = { whole: 0, none: 0 };
    for (let round = 0; round < 6; round += 1) {
      const all = Object.keys(files).map((path) => path.replace("/", ".").slice(0, -3));
      makeWheel(machine.packages, "many", String(round), { files: { "many/__init__.py": "", ...files } });
      const wanted = request([`many==${round}`]);
      const builder = startBuilding(machine, `many==${round}`);
      await builder.printed("ready");
      await sleep(Math.random() * 250);
      await builder.kill();
      const found = machine.environments.find(wanted);
      outcomes[found === undefined ? "none" : "whole"] += 1;
      if (found === undefined) continue;
      expect(found.lock).toBe(`many==${round}`);
      expect(await python(found, `import ${all.join(", ")}; print("whole")`)).toBe("whole");
    }
    expect(outcomes.none, JSON.stringify(outcomes)).toBeGreaterThan(0);
  });

  test("cancelling ends the build and leaves nothing", async () => {
    const machine = aMachine();
    const started = join(machine.packages, "started");
    await makeSdist(
      machine.packages,
      "slow_one",
      "1",
      `open(${JSON.stringify(started)}, "w").close(); import time; time.sleep(20)`,
    );
    const controller = new AbortController();
    const building = machine.environments.prepare(request(["slow-one"]), { signal: controller.signal });
    const other = machine.environments.prepare(request(["slow-one"]), { signal: AbortSignal.timeout(600) });
    building.catch(() => undefined);
    other.catch(() => undefined);
    while (!existsSync(started)) await sleep(5);
    await expect(other).rejects.toMatchObject({ code: "cancelled" });
    controller.abort();
    await expect(building).rejects.toMatchObject({ code: "cancelled" });
    expect(readdirSync(machine.folder).sort()).toEqual(["locks", "logs", "pythons"]);
    expect(readdirSync(join(machine.folder, "locks"))).toEqual([]);
  });

  test("an environment that had not reached the disk when the machine went down is made again", async () => {
    const machine = aMachine();
    makeWheel(machine.packages, "base", "1");
    const made = await machine.environments.prepare(request(["base"]));
    await settled(machine.folder);
    const record = join(made.folder, "environment.json");
    writeFileSync(record, readFileSync(record, "utf8").replace(/"boot": ".*"/, '"boot": "an earlier one"'));
    expect(machine.environments.find(request(["base"]))).toBeDefined();
    rmSync(join(made.folder, "settled.json"));
    expect(machine.environments.find(request(["base"]))).toBeUndefined();
    expect((await machine.environments.prepare(request(["base"]))).built).toBe(true);
  });
});
