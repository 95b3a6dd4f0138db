/**
 * The images of the test cluster, which pulls none: a container that waits, Debian with Python 3.11 for stages, and the
 * tool of this checkout for controllers. Debian's packages are all that is fetched; about a minute for each, once.
 */

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { writeOciArchive } from "./oci-archive.ts";
import { run } from "./run.ts";

export const imageNames = {
  pause: "docker.io/local/pause:1",
  stage: "docker.io/local/python:3.11",
  controller: "docker.io/local/bodywork:tests",
} as const;

const root = join(import.meta.dirname, "..", "..", "..");

/** Makes those of the node and of stages that are missing in the folder; the archives to import. */
export async function makeImages(folder: string, tell: (line: string) => void): Promise<readonly string[]> {
  mkdirSync(folder, { recursive: true });
  const pause = join(folder, "pause.oci");
  if (!existsSync(pause)) await makePause(pause);
  const recipe = digestOf(JSON.stringify([debian, machineFiles().map(readText), machineVariables()]));
  const stage = join(folder, `stage-${recipe}.oci`);
  if (!existsSync(stage)) {
    tell("making an image with Python from Debian's packages (a minute, once)");
    await makeStage(stage);
  }
  return [pause, stage];
}

/** The tool in its own image, of the code as it is now; the archive to import. */
export function makeController(): string {
  const program = join(root, "tools", "assemble-image.ts");
  return run(process.execPath, ["--no-warnings", program, imageNames.controller], { cwd: root });
}

/** Git and ssh are not in it: stages must do without. */
const debian = {
  suite: "bookworm",
  packages: ["python3-minimal", "python3-venv", "python3-pip", "ca-certificates"],
} as const;

async function makeStage(archive: string): Promise<void> {
  const tree = `${archive}.${process.pid}.tree`;
  const layer = `${archive}.${process.pid}.tar`;
  try {
    const { suite, packages } = debian;
    run("debootstrap", ["--variant=minbase", `--include=${packages.join(",")}`, suite, tree]);
    // Pods reach package indexes as this machine does: by its certificates and its settings of pip.
    for (const file of machineFiles()) {
      mkdirSync(join(tree, dirname(file)), { recursive: true });
      copyFileSync(file, join(tree, file));
    }
    for (const path of ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"]) {
      rmSync(join(tree, path), { recursive: true, force: true });
    }
    pack(tree, layer, "--exclude=./dev/*", ".");
    const config = { Env: imageVariables(), Cmd: ["python3"] };
    await writeOciArchive({ name: imageNames.stage, layers: [layer], config, archive });
  } finally {
    rmSync(layer, { force: true });
    rmSync(tree, { recursive: true, force: true });
  }
}

function pack(folder: string, archive: string, ...args: readonly string[]): void {
  const made = `${archive}.${process.pid}`;
  run("tar", ["-C", folder, "--numeric-owner", "-cf", made, ...args]);
  run("mv", [made, archive]);
}

/** What keeps a pod's namespaces: a program that waits for its end. */
async function makePause(archive: string): Promise<void> {
  const tree = `${archive}.${process.pid}.tree`;
  mkdirSync(join(tree, "bin"), { recursive: true });
  copyFileSync(run("sh", ["-c", "command -v busybox"]), join(tree, "bin", "busybox"));
  const layer = `${archive}.${process.pid}.tar`;
  pack(tree, layer, ".");
  const wait = 'trap "exit 0" TERM INT; while :; do /bin/busybox sleep 3600 & wait $!; done';
  const config = { Entrypoint: ["/bin/busybox", "sh", "-c", wait] };
  await writeOciArchive({ name: imageNames.pause, layers: [layer], config, archive });
  rmSync(layer);
  rmSync(tree, { recursive: true });
}

/** What makes this machine's pip and git trust what they reach. */
function machineFiles(): readonly string[] {
  return ["/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf"].filter((file) => existsSync(file));
}

function imageVariables(): readonly string[] {
  return [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    // uv brings certificates of its own unless it is told.
    "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
    ...machineVariables(),
  ];
}

/** Where packages come from, when the machine's environment says so. */
function machineVariables(): readonly string[] {
  const names =
    /^(https?_proxy|no_proxy|all_proxy|pip_(extra_)?index_url|uv_(default_|extra_)?index(_url)?)$/i;
  return Object.entries(process.env)
    .filter(([name]) => names.test(name))
    .map(([name, value]) => `${name}=${value}`)
    .sort();
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

function readText(file: string): string {
  return readFileSync(file, "utf8");
}
