import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCommand } from "../../src/lib/run-command.ts";
import { definedOnly } from "../../tools/programs.mjs";
import { placesIn, placesOfThisMachine } from "./support/places.ts";

const root = join(import.meta.dirname, "..", "..");

test("no file of this repository names a folder of the machine it is on, or the host of a registry", async (context) => {
  const { exitCode, stdout } = await runCommand(
    "git",
    ["-c", `safe.directory=${root}`, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    { env: definedOnly(process.env), cwd: root },
  );
  if (exitCode !== 0) context.skip("needs a checkout that git knows: this folder is none");
  const places = await placesOfThisMachine();
  const names = stdout.split("\0").filter((name) => name !== "");
  expect(names.length).toBeGreaterThan(100);
  const found = names.flatMap((name) =>
    placesIn(textOf(join(root, name)), places).map((place) => `${name}: ${place}`),
  );
  expect(found).toEqual([]);
});

test("control: a planted folder and a planted host are found, and words that only begin alike are not", async () => {
  const places = await placesOfThisMachine();
  expect(
    placesIn(`{"resolved": "https://${["registry", "npmjs", "org"].join(".")}/x.tgz"}`, places),
  ).toHaveLength(1);
  expect(placesIn(`const path = "${root}/src";`, places)).toContain(root);
  expect(placesIn(`${root}less`, places)).toEqual([]);
});

/** Empty for one that was removed and not committed. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
