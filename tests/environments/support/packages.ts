import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { runCommand } from "../../../src/lib/run-command.ts";
import { writeFiles } from "../../support/git-project.ts";

export interface PackageContent {
  /** `other>=1`, as in `Requires-Dist`. */
  readonly requires?: readonly string[];
  /** Path in site-packages → text; by default a module of the package's name that knows its version. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Command → `module:function`. */
  readonly scripts?: Readonly<Record<string, string>>;
}

/** Makes a wheel (PEP 427) in the folder; its path. */
export function makeWheel(
  folder: string,
  name: string,
  version: string,
  content: PackageContent = {},
): string {
  const { requires = [], files = { [`${name}.py`]: `version = "${version}"\n` }, scripts = {} } = content;
  const info = `${name}-${version}.dist-info`;
  const entries = Object.entries(scripts).map(([command, target]) => `${command} = ${target}\n`);
  const all: Record<string, string | Uint8Array> = {
    ...files,
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n${requires.map((one) => `Requires-Dist: ${one}\n`).join("")}`,
    [`${info}/WHEEL`]: "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    ...(entries.length === 0
      ? {}
      : { [`${info}/entry_points.txt`]: `[console_scripts]\n${entries.join("")}` }),
  };
  const record = Object.keys(all).map((path) => `${path},,\n`);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}-${version}-py3-none-any.whl`);
  writeFileSync(path, zip({ ...all, [`${info}/RECORD`]: `${record.join("")}${info}/RECORD,,\n` }));
  return path;
}

/**
 * Files of a source distribution that brings its own build backend (PEP 517, `backend-path`), so that building it needs
 * no other package. `atBuild` is Python that runs first when it is built; `extra` in it becomes the text of the module.
 */
export function sourcePackage(name: string, version: string, atBuild = ""): Readonly<Record<string, string>> {
  const info = `${name}-${version}.dist-info`;
  return {
    "PKG-INFO": `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`,
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    "backend.py": `import os, zipfile
def build_sdist(folder, config_settings=None):
    raise NotImplementedError
def build_wheel(folder, config_settings=None, metadata_directory=None):
    extra = ""
${atBuild.replace(/^/gm, "    ")}
    name = "${name}-${version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("${name}.py", 'version = "${version}"\\n' + extra)
        wheel.writestr("${info}/METADATA", "Metadata-Version: 2.1\\nName: ${name}\\nVersion: ${version}\\n")
        wheel.writestr("${info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("${info}/RECORD", "")
    return name
`,
  };
}

/** Makes a source distribution in the folder; its path. */
export async function makeSdist(
  folder: string,
  name: string,
  version: string,
  atBuild = "",
): Promise<string> {
  const base = `${name}-${version}`;
  mkdirSync(folder, { recursive: true });
  writeFiles(join(folder, ".src", base), sourcePackage(name, version, atBuild));
  const path = join(folder, `${base}.tar.gz`);
  const args = ["-czf", path, "-C", join(folder, ".src"), base];
  const made = await runCommand("tar", args, { env: { PATH: process.env.PATH ?? "" } });
  if (made.exitCode !== 0) throw new Error(made.stderr);
  return path;
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A ZIP archive without compression (APPNOTE 4.3). */
function zip(files: Readonly<Record<string, string | Uint8Array>>): Buffer {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const [path, content] of Object.entries(files)) {
    const name = Buffer.from(path);
    const bytes = Buffer.from(content);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(0x21, 8); // 1 January 1980.
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(bytes.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, name, bytes]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE((0o100644 << 16) >>> 0, 6);
    rest.writeUInt32LE(offset, 10);
    const madeBy = Buffer.from([20, 3]); // Unix.
    centrals.push(Buffer.concat([Buffer.from("PK\x01\x02"), madeBy, common, rest, name]));
    locals.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(centrals.length, 8);
  end.writeUInt16LE(centrals.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, central, end]);
}
