/**
 * Files and folders that batch stages hand on: content-addressed, immutable, verified before each use.
 */

export interface Artifact {
  /** `sha256:` and 64 hex digits: of the bytes for a file, of the sorted listing of (path, mode, digest) for a folder. */
  readonly digest: string;
  readonly kind: "file" | "folder";
  /** Of all content, in bytes. */
  readonly bytes: number;
}

export interface Artifacts {
  /**
   * Copies a path into the store, then hashes the copy. `path` is relative to `folder`. Fails: output-missing (nothing there, or not a file or
   * folder), path-outside (the path, or a link in it, leaves `root`), disk-full.
   */
  collect(root: string, folder: string, path: string): Promise<Artifact>;

  /**
   * Verifies the content, then puts a private copy at `target` (absolute; parents are made; what is there is replaced).
   * Fails: artifact-damaged, not-found.
   */
  place(artifact: Artifact, target: string): Promise<void>;

  /** Verifies without copying. */
  verify(digest: string): Promise<boolean>;

  /**
   * Removes all but the kept digests and what was collected in the last ten minutes, which may be on no record yet; returns
   * the number of bytes that went.
   */
  sweep(keep: ReadonlySet<string>): Promise<number>;
}
