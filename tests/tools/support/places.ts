import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "../../../src/lib/run-command.ts";
import { definedOnly } from "../../../tools/programs.mjs";
import { cacheFolder } from "../../../tools/setup.mjs";

/** What a text must not name, for it would be of no use elsewhere: folders of this machine, hosts of registries. */
export async function placesOfThisMachine(): Promise<readonly string[]> {
  const root = join(import.meta.dirname, "..", "..", "..");
  // The tests' made-up user may be a real one.
  const folders = [root, tmpdir(), cacheFolder(process.env), homedir()].filter(
    (folder) => folder.length > 1 && folder !== "/home/me",
  );
  const npm = await runCommand("npm", ["config", "get", "registry"], {
    env: definedOnly(process.env),
    cwd: tmpdir(),
  });
  // In pieces, so that this file does not name them.
  const usual = [
    ["registry", "npmjs", "org"],
    ["registry", "yarnpkg", "com"],
    ["pypi", "org"],
    ["files", "pythonhosted", "org"],
  ].map((parts) => parts.join("."));
  const own = URL.canParse(npm.stdout) ? [new URL(npm.stdout).host] : [];
  return [...new Set([...folders, ...usual, ...own])];
}

/** The places that the text names; "/a/b" is not named by "/a/bc". */
export function placesIn(text: string, places: readonly string[]): readonly string[] {
  return places.filter((place) => {
    for (let at = text.indexOf(place); at !== -1; at = text.indexOf(place, at + 1)) {
      if (!/^[\w-]/.test(text.slice(at + place.length, at + place.length + 1))) return true;
    }
    return false;
  });
}
