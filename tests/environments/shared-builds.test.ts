import { describe, expect, test } from "vitest";
import { aMachine, hasUv, keysIn, request, startBuilding } from "./support/machine.ts";
import { makeSdist } from "./support/packages.ts";

describe.skipIf(!hasUv)("environments that several need at the same time", () => {
  test("two processes that need the same new environment build it once, five times over", async () => {
    const machine = aMachine();
    for (const version of ["1", "2", "3", "4", "5"]) {
      await makeSdist(machine.packages, "slow_one", version, "import time; time.sleep(0.3)");
      const builders = [1, 2].map(() => startBuilding(machine, `slow-one==${version}`));
      for (const builder of builders) expect(await builder.end(), builder.output()).toBe(0);
      const outputs = builders.map((builder) => builder.output());
      expect(outputs.map((output) => /built:\w+/.exec(output)?.[0]).sort()).toEqual([
        "built:false",
        "built:true",
      ]);
    }
    expect(keysIn(machine.folder)).toHaveLength(5);
  });

  test("ten callers in one process build it once, and all are shown the progress", async () => {
    const machine = aMachine();
    await makeSdist(machine.packages, "slow_one", "1", "import time; time.sleep(0.5)");
    const outputs: string[] = [];
    const made = await Promise.all(
      Array.from({ length: 10 }, (_, index) => {
        outputs.push("");
        const onOutput = (text: string): void => {
          outputs[index] += text;
        };
        return machine.environments.prepare(request(["slow-one"]), { onOutput });
      }),
    );
    expect(made.filter(({ built }) => built)).toHaveLength(1);
    expect(outputs.filter((output) => output.includes("Resolved 1 package"))).toHaveLength(10);
  });
});
