/**
 * Our image without Docker and without a registry, for clusters of tests: Debian's packages by debootstrap, Node, and the
 * package as `npm run build` makes it. Writes an OCI archive that `ctr images import` takes, and prints its path.
 *
 *   node tools/with-setup.mjs run tools/assemble-image.ts [NAME]
 *
 * It must run as root on Debian or Ubuntu with debootstrap. Everything is kept in the cache folder by what it is made of:
 * the base by its packages, the archive by all of its content. What is in the image says image/contents.yaml.
 */

import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  createReadStream,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { parse } from "yaml";

import about from "../package.json" with { type: "json" };
import { SetupProblem } from "./problems.mjs";
import { allOnPath, definedOnly, outputOf, run } from "./programs.mjs";
import { provideFolder } from "./provide-folder.mjs";
import { cacheFolder } from "./setup.mjs";

/** What is in the image, as image/contents.yaml has it. */
export interface ImageContents {
  readonly debian: { readonly suite: string; readonly packages: readonly string[] };
  readonly node: { readonly version: string } & Readonly<
    Record<"amd64" | "arm64", { readonly package: string; readonly sha256: string }>
  >;
  readonly user: { readonly name: string; readonly id: number; readonly home: string };
  readonly files: Readonly<Record<string, string>>;
  readonly program: { readonly from: string; readonly to: string; readonly alias: string };
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
}

const root = dirname(import.meta.dirname);
const contents: ImageContents = parse(readFileSync(join(root, "image", "contents.yaml"), "utf8"));
const architecture = process.arch === "arm64" ? "arm64" : "amd64";
const machineCertificates = "/etc/ssl/certs/ca-certificates.crt";
const [name = `docker.io/bodyworkml/bodywork:${about.version}`] = process.argv.slice(2);

try {
  requireMachine();
  await run(process.execPath, ["tools/build.ts"], { env: process.env, cwd: root });
  process.stdout.write(`${await assemble()}\n`);
} catch (error) {
  if (!(error instanceof SetupProblem)) throw error;
  process.stderr.write(`The image is not assembled: ${error.message}\n`);
  process.exitCode = 1;
}

function requireMachine(): void {
  if (process.getuid?.() !== 0) throw new SetupProblem("it takes root, for the files of a system are root's");
  if (allOnPath("debootstrap", withSystemFolders()).length === 0) {
    throw new SetupProblem("debootstrap is not on PATH; Debian: apt-get install debootstrap");
  }
}

/** Two layers: what changes seldom, and the package. */
async function assemble(): Promise<string> {
  const images = join(cacheFolder(process.env), "images");
  const base = await baseLayer(images);
  const work = mkdtempSync(join(tmpdir(), "bodywork-image-"));
  try {
    const layer = join(work, "package.tar");
    await packFolder(packageFiles(join(work, "package")), layer);
    const digests = [await sha256(base), await sha256(layer)];
    const target = join(images, `bodywork-${keyOf([name, contents, digests])}.tar`);
    if (!existsSync(target)) {
      tell("writing the archive");
      await writeArchive([base, layer], digests, join(work, "archive"), join(work, "image.tar"));
      copyFileSync(join(work, "image.tar"), `${target}.new`);
      renameSync(`${target}.new`, target);
    }
    removeOthers(images, basename(target));
    return target;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Debian with its packages, Node, and the user, as one archive of files. */
async function baseLayer(images: string): Promise<string> {
  const { debian, node, user } = contents;
  const certificates = readIfThere(machineCertificates);
  const key = keyOf([
    debian,
    node,
    user,
    architecture,
    createHash("sha256").update(certificates).digest("hex"),
  ]);
  const folder = await provideFolder(images, `base-${key}`, async (target) => {
    tell(`installing Debian ${debian.suite} with ${debian.packages.join(", ")}, once`);
    const system = join(target, "system");
    const include = `--include=${debian.packages.join(",")}`;
    await run("debootstrap", ["--variant=minbase", include, debian.suite, system], {
      env: withSystemFolders(),
    });
    removeLeftovers(system);
    copyFileSync(await nodeProgram(), join(system, "usr/local/bin/node"));
    addUser(system);
    // Registries that this machine reaches by its own certificates are reached in the image, too.
    if (certificates.length > 0) copyFileSync(machineCertificates, join(system, machineCertificates));
    await packFolder(system, join(target, "layer.tar"));
    rmSync(system, { recursive: true, force: true });
  });
  return join(folder, "layer.tar");
}

/** What packages bring along that nothing in a container reads. */
function removeLeftovers(system: string): void {
  const patterns = [
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "var/log/*",
    "usr/share/doc/*",
    "usr/share/man/*",
  ];
  for (const path of patterns.flatMap((pattern) => globSync(pattern, { cwd: system }))) {
    rmSync(join(system, path), { recursive: true, force: true });
  }
  rmSync(join(system, "debootstrap"), { recursive: true, force: true });
}

function addUser(system: string): void {
  const { name: user, id, home } = contents.user;
  const append = (file: string, line: string): void =>
    writeFileSync(join(system, "etc", file), `${line}\n`, { flag: "a" });
  append("passwd", `${user}:x:${id}:${id}::${home}:/bin/sh`);
  append("group", `${user}:x:${id}:`);
  mkdirSync(join(system, home), { recursive: true });
  outputOf("chown", [`${id}:${id}`, join(system, home)]);
}

/** Of the same package as in the Dockerfile; ours if it is that version. */
async function nodeProgram(): Promise<string> {
  const { version, [architecture]: build } = contents.node;
  const specifier = `${build.package}@${version}`;
  const cache = cacheFolder(process.env);
  const inFolder = join("node_modules", build.package, "bin", "node");
  const folder = await provideFolder(cache, specifier, async (target) => {
    tell(`fetching Node (${specifier}), once`);
    const options = ["install", "--no-save", "--no-audit", "--no-fund", "--no-global"];
    await run("npm", [...options, "--prefix", target, specifier], { env: process.env });
  });
  return join(folder, inFolder);
}

/** The package as the image has it, in a folder of its own. */
function packageFiles(folder: string): string {
  const put = (from: string, to: string): void => {
    mkdirSync(dirname(join(folder, to)), { recursive: true });
    cpSync(from, join(folder, to), { recursive: true });
  };
  for (const [from, to] of Object.entries(contents.files)) put(join(root, from), to);
  const { from, to, alias } = contents.program;
  put(join(root, "image", from), to);
  chmodSync(join(folder, to), 0o755);
  symlinkSync(basename(to), join(folder, alias));
  return folder;
}

/** The same bytes for the same files, whoever has made them when. Owners stay: those of a system mean something. */
async function packFolder(folder: string, target: string): Promise<void> {
  const same = ["--sort=name", "--mtime=@0", "--numeric-owner", "--format=posix"];
  const plain = ["--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"];
  await run("tar", [...same, ...plain, "-C", folder, "-cf", target, "."], { env: process.env });
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** An OCI image layout as one archive: https://github.com/opencontainers/image-spec/blob/main/image-layout.md. */
async function writeArchive(
  layers: readonly string[],
  digests: readonly string[],
  folder: string,
  target: string,
): Promise<void> {
  const blobs = join(folder, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  const blob = (mediaType: string, content: string): Descriptor => {
    const digest = createHash("sha256").update(content).digest("hex");
    writeFileSync(join(blobs, digest), content);
    return { mediaType, digest: `sha256:${digest}`, size: Buffer.byteLength(content) };
  };
  const layerBlobs = layers.map((layer, index): Descriptor => {
    const digest = digests[index] ?? "";
    copyFileSync(layer, join(blobs, digest));
    const mediaType = "application/vnd.oci.image.layer.v1.tar";
    return { mediaType, digest: `sha256:${digest}`, size: statSync(layer).size };
  });
  const config = blob("application/vnd.oci.image.config.v1+json", JSON.stringify(imageConfig(digests)));
  const manifestType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = blob(
    manifestType,
    JSON.stringify({ schemaVersion: 2, mediaType: manifestType, config, layers: layerBlobs }),
  );
  const annotations = {
    "io.containerd.image.name": name,
    "org.opencontainers.image.ref.name": name.slice(name.lastIndexOf(":") + 1),
  };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  writeFileSync(join(folder, "index.json"), JSON.stringify(index));
  writeFileSync(join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  await packFolder(folder, target);
}

function imageConfig(digests: readonly string[]): unknown {
  const { user, entrypoint, command } = contents;
  return {
    architecture,
    os: "linux",
    config: {
      User: `${user.id}:${user.id}`,
      Env: [`HOME=${user.home}`, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      WorkingDir: user.home,
      Entrypoint: entrypoint,
      Cmd: command,
    },
    rootfs: { type: "layers", diff_ids: digests.map((digest) => `sha256:${digest}`) },
  };
}

async function sha256(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Archives of earlier builds; each has a whole system in it. */
function removeOthers(images: string, kept: string): void {
  for (const file of globSync("bodywork-*.tar", { cwd: images })) {
    if (file !== kept) rmSync(join(images, file), { force: true });
  }
}

function keyOf(parts: unknown): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

function readIfThere(path: string): Buffer {
  return existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
}

/** debootstrap and what it calls lie where users' PATH often does not lead. */
function withSystemFolders(): Record<string, string> {
  return definedOnly({ ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` });
}

function tell(line: string): void {
  process.stderr.write(`Image: ${line}\n`);
}
