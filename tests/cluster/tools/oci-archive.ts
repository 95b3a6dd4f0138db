import { createHash } from "node:crypto";
import { createReadStream, linkSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.ts";

/** What a container of the image starts with, as the OCI image configuration names it. */
export interface ImageConfig {
  readonly Cmd?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
}

/**
 * Writes an archive in the OCI image layout that containerd imports. `layers`: tar files, the lowest first. It needs no
 * registry and no builder.
 */
export async function writeOciArchive(image: {
  /** `docker.io/local/python:3.11` */
  readonly name: string;
  readonly layers: readonly string[];
  readonly config: ImageConfig;
  readonly archive: string;
}): Promise<void> {
  const folder = `${image.archive}.${process.pid}.layout`;
  const blobs = join(folder, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  try {
    const layers = await Promise.all(image.layers.map((layer) => addLayer(layer, blobs)));
    const config = addJson(blobs, types.config, {
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      os: "linux",
      config: image.config,
      rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
    });
    const manifest = addJson(blobs, types.manifest, {
      schemaVersion: 2,
      mediaType: types.manifest,
      config,
      layers,
    });
    const annotations = { "io.containerd.image.name": image.name };
    const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
    writeFileSync(join(folder, "index.json"), JSON.stringify(index));
    writeFileSync(join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
    const made = `${image.archive}.${process.pid}`;
    run("tar", ["-C", folder, "-cf", made, "oci-layout", "index.json", "blobs"]);
    run("mv", [made, image.archive]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const types = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
} as const;

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

async function addLayer(tar: string, blobs: string): Promise<Descriptor> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(tar, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  const hex = hash.digest("hex");
  linkSync(tar, join(blobs, hex));
  return { mediaType: types.layer, digest: `sha256:${hex}`, size: statSync(tar).size };
}

function addJson(blobs: string, mediaType: string, value: unknown): Descriptor {
  const text = JSON.stringify(value);
  const hex = createHash("sha256").update(text).digest("hex");
  writeFileSync(join(blobs, hex), text);
  return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(text) };
}
