import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { chmod, copyFile, lstat, mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, normalize } from "node:path";
import { Failure } from "../core/failure.ts";
import { resolveInside } from "../lib/files.ts";
import type { Artifact, Artifacts } from "../ports/artifacts.ts";
import { copyTree, type CopiedTree, syncFolder } from "./copy-tree.ts";
import { digestOf } from "./digest.ts";

/**
 * Artifacts below `<folder>/sha256/ab/<64 hex>`: a file, or a folder with all that is in it, without write permission.
 * Each is copied to a temporary name in the same folder, hashed there, put on the disk and renamed: what bears a digest
 * as its name was whole when it got it, and is verified again before each use.
 */
export function createArtifactStore(options: { readonly folder: string }): Artifacts {
  const { folder } = options;
  const pathOf = (digest: string): string => storedPath(folder, digest);

  return {
    async collect(root, from, path) {
      const source = await outputPath(root, from, path);
      const temporary = join(folder, "sha256", `${temporaryPrefix}${randomBytes(8).toString("hex")}`);
      await mkdir(dirname(temporary), { recursive: true, mode: 0o700 });
      try {
        const copy = await orDiskFull(path, () => copyTree(source, temporary, { root, label: path }));
        const artifact = await describe(temporary, copy);
        await keep(temporary, pathOf(artifact.digest), artifact);
        return artifact;
      } finally {
        await removeTree(temporary);
      }
    },

    async place(artifact, target) {
      const stored = pathOf(artifact.digest);
      const kind = await kindOf(stored);
      if (kind === undefined) throw missing(artifact.digest);
      const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString("hex")}.tmp`);
      await mkdir(dirname(target), { recursive: true });
      try {
        await orDiskFull(target, () => copyTree(stored, temporary, { root: stored, label: artifact.digest }));
        // The copy is what will be used, so the copy is what is verified.
        if ((await digestOf(temporary)) !== artifact.digest) throw damaged(artifact.digest);
        await makeWritable(temporary);
        await replace(temporary, target);
      } finally {
        await removeTree(temporary);
      }
    },

    async verify(digest) {
      const stored = pathOf(digest);
      return (await kindOf(stored)) !== undefined && (await digestOf(stored)) === digest;
    },

    async sweep(kept) {
      let bytes = 0;
      for (const stored of await storedArtifacts(folder)) {
        if (kept.has(stored.digest)) continue;
        bytes += await bytesOf(stored.path);
        await removeTree(stored.path);
      }
      return bytes;
    },
  };
}
