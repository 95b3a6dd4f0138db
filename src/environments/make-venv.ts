import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { Interpreter } from "./choose-python.ts";

/**
 * Makes an empty virtual environment at `folder`, which must not exist: what `uv venv` makes less the shell scripts to
 * activate it, by a few calls and no process. The layout is that of PEP 405 and of Python's own venv module.
 */
export function makeVenv(folder: string, interpreter: Interpreter): void {
  const minor = /^\d+\.\d+/.exec(interpreter.version)?.[0] ?? "3";
  const bin = join(folder, "bin");
  mkdirSync(bin, { recursive: true, mode: 0o755 });
  mkdirSync(join(folder, interpreter.sitePackages), { recursive: true, mode: 0o755 });
  symlinkSync(interpreter.executable, join(bin, "python"));
  symlinkSync("python", join(bin, "python3"));
  symlinkSync("python", join(bin, `python${minor}`));
  symlinkSync("lib", join(folder, "lib64"));
  const lines = [
    `home = ${dirname(interpreter.executable)}`,
    "implementation = CPython",
    `version_info = ${interpreter.version}`,
    `version = ${interpreter.version}`,
    "include-system-site-packages = false",
  ];
  writeFileSync(join(folder, "pyvenv.cfg"), `${lines.join("\n")}\n`);
}

/**
 * Console scripts name their interpreter by its full path: makes them name the one at `to` instead of the one at `from`.
 * Each is replaced by a new file, for the old one may be shared with the installer's cache.
 */
export function moveScripts(bin: string, from: string, to: string): void {
  for (const name of readdirSync(bin)) {
    const path = join(bin, name);
    const stat = lstatSync(path);
    if (!stat.isFile() || stat.size > 1024 * 1024) continue;
    const bytes = readFileSync(path);
    // latin1 keeps every byte, whatever the script's encoding.
    const text = bytes.toString("latin1");
    const source = Buffer.from(from).toString("latin1");
    if (!text.startsWith("#!") || !text.includes(source)) continue;
    const moved = text.replaceAll(source, Buffer.from(to).toString("latin1"));
    writeFileSync(`${path}.moved`, Buffer.from(moved, "latin1"), { mode: stat.mode & 0o777 });
    renameSync(`${path}.moved`, path);
  }
}
