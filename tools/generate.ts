/**
 * Writes the files of this repository that are made from the code: documents and schemas that can't go stale, because
 * `--check` (part of `npm run check`) fails when one differs from what the code says. Each module of
 * `tools/generators/` exports `generate()`, which returns path (from the root) → text.
 */

import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

interface Generator {
  generate(): Promise<ReadonlyMap<string, string>>;
}

const root = dirname(import.meta.dirname);
const checking = process.argv.includes("--check");
let stale = 0;

for (const name of globSync("tools/generators/*.ts", { cwd: root }).sort()) {
  const generator: Generator = await import(join(root, name));
  for (const [path, text] of await generator.generate()) {
    if (readText(join(root, path)) === text) continue;
    stale += 1;
    if (checking) {
      process.stdout.write(`${path} is not what ${name} makes; run: npm run generate\n`);
    } else {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
      process.stdout.write(`wrote ${path}\n`);
    }
  }
}
process.exitCode = checking && stale > 0 ? 1 : 0;

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
