/**
 * Where commits come from. Only the git room implements this; tests use real repositories in temporary folders.
 */

import type { CommitRef, RunCommit } from "../core/run-state.ts";

export type { CommitRef };

export interface RepositoryRequest {
  /** https, ssh, scp-like (`git@host:path`) or file URL, as the user wrote it; it may hold credentials. */
  readonly url: string;
  /** A branch, tag or commit (by 7 to 40 of its hex digits); the remote's default branch when undefined. */
  readonly ref: string | undefined;
  /** The text of a private key, for ssh; the user's agent and keys when undefined or blank. */
  readonly sshKey?: string | undefined;
  /** Fingerprint (`SHA256:…`) of an unknown host that the user accepts, or "show" to be told it. */
  readonly acceptHostKey?: string | undefined;
}

export type ResolvedCommit = RunCommit;

export interface Source {
  /** Refuses what can't be the address of a repository, without looking at anything. Fails: repository-url. */
  check(url: string): void;

  /**
   * Fetches the repository into its mirror and resolves the ref to one commit.
   * Fails: repository-url, repository-access, repository-unreachable, repository-limit, host-key, ref-not-found (naming
   * the branches that exist), git-missing, timed-out, path-outside, store-damaged, home-unsafe, disk-full, cancelled.
   */
  resolve(request: RepositoryRequest, signal: AbortSignal): Promise<ResolvedCommit>;

  /**
   * The bytes of a regular file at that commit (links are not followed); undefined when there is none. Fails:
   * store-damaged, path-outside; so does `listFiles`.
   */
  readFile(commit: CommitRef, path: string): Promise<Buffer | undefined>;

  /** Every path of the commit's tree, regular files and links, slash-separated. */
  listFiles(commit: CommitRef): Promise<ReadonlySet<string>>;

  /**
   * Makes `folder` (which must not exist; its parent must) a clean private copy of the commit, without `.git`. Nobody
   * else's copy shares an inode with it. Half-made copies are never visible under `folder`. Fails: store-damaged,
   * path-outside, repository-limit, disk-full, cancelled.
   */
  checkOut(commit: CommitRef, folder: string, signal?: AbortSignal): Promise<void>;

  /**
   * The commit's files as a tar archive, compressed by gzip: the same bytes each time. What `.gitattributes` says of
   * archives does not count: it is what `checkOut` makes. Fails: store-damaged, path-outside, repository-limit, cancelled.
   */
  archive(commit: CommitRef, signal?: AbortSignal): Promise<Buffer>;

  /** Protects a commit from being swept, under a name of the caller's (`release/NAMESPACE/12`); `forget` undoes it. */
  keep(commit: CommitRef, name: string): Promise<void>;
  forget(commit: CommitRef, name: string): Promise<void>;
}
