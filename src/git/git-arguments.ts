/**
 * The arguments of every git command that we run, in one place. A value from outside (an address) comes only after
 * `--`; names of refs begin with `refs/bodywork/` and commits are 40 hex digits, so that none can be an option.
 */

import { createHash } from "node:crypto";

import type { RepositoryUrl } from "./repository-url.ts";

/** Where in a mirror the refs of the remote are kept, and ours. Nothing else is in it. */
export const refPrefixes = {
  heads: "refs/bodywork/heads/",
  tags: "refs/bodywork/tags/",
  head: "refs/bodywork/head",
  keep: "refs/bodywork/keep/",
};

/** Branches and tags as they are at the remote, also when history was rewritten; what is gone there goes here. */
const allRefs = [`+refs/heads/*:${refPrefixes.heads}*`, `+refs/tags/*:${refPrefixes.tags}*`];

/** `alsoHead` brings what the remote's HEAD points to, and fails where that is nothing. */
export function fetchArguments(url: RepositoryUrl, alsoHead: boolean): readonly string[] {
  const refspecs = alsoHead ? [...allRefs, `+HEAD:${refPrefixes.head}`] : allRefs;
  return [...fetchCommand, "--prune", "--", url.address, ...refspecs];
}

/** For a commit that no branch or tag leads to. */
export function fetchCommitArguments(url: RepositoryUrl, hash: string): readonly string[] {
  return [...fetchCommand, "--", url.address, commitName(hash)];
}

/** From a damaged mirror of ours: one kept commit. */
export function salvageArguments(mirror: string, ref: string): readonly string[] {
  return [...fetchCommand, "--", mirror, `${ownRef(ref)}:${ownRef(ref)}`];
}

const fetchCommand = [
  "fetch",
  "--quiet",
  "--no-tags",
  // The checkout of a CI job is shallow; its commits are whole all the same.
  "--update-shallow",
  "--no-write-fetch-head",
  "--no-recurse-submodules",
  "--no-auto-maintenance",
];

export function symrefArguments(url: RepositoryUrl): readonly string[] {
  return ["ls-remote", "--quiet", "--symref", "--", url.address, "HEAD"];
}

/** All 40 digits of the commit whose name begins so. */
export function commitNameArguments(beginning: string): readonly string[] {
  return ["rev-parse", "--verify", "--quiet", "--end-of-options", `${beginning}^{commit}`];
}

/**
 * The first of the revisions that is there, as one line of fields divided by NUL: hash, short hash, author, date,
 * subject, and the branches at it.
 */
export function logArguments(revisions: readonly string[]): readonly string[] {
  return [
    "log",
    "--no-walk=unsorted",
    "--ignore-missing",
    "--no-show-signature",
    "--no-color",
    "--decorate=full",
    `--decorate-refs=${refPrefixes.heads}*`,
    "--format=%H%x00%h%x00%an%x00%cI%x00%s%x00%D",
    "--end-of-options",
    ...revisions,
  ];
}

/** Revisions that a ref may mean, in the order in which git prefers them. */
export function revisionsOf(ref: string): readonly string[] {
  if (isCommitName(ref)) return [`${ref}^{commit}`];
  if (ref.startsWith("refs/heads/")) return [refPrefixes.heads + ref.slice("refs/heads/".length)];
  if (ref.startsWith("refs/tags/")) return [`${refPrefixes.tags}${ref.slice("refs/tags/".length)}^{commit}`];
  return [refPrefixes.heads + ref, `${refPrefixes.tags}${ref}^{commit}`];
}

export function listRefsArguments(prefix: string): readonly string[] {
  return ["for-each-ref", "--format=%(objectname) %(refname)", "--", prefix];
}

export function listTreeArguments(hash: string): readonly string[] {
  return ["ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", commitName(hash)];
}

/** Object names are read from standard input. */
export const catFileArguments: readonly string[] = ["cat-file", "--batch", "--buffer"];

/** Fills the work tree from nothing. */
export function checkOutArguments(hash: string): readonly string[] {
  return ["read-tree", "-u", "--reset", "--no-recurse-submodules", commitName(hash)];
}

/** Of the commit, not of its tree: the times in it are the commit's then. */
export function archiveArguments(hash: string): readonly string[] {
  return ["archive", "--format=tar", "--end-of-options", commitName(hash)];
}

export function keepArguments(ref: string, hash: string): readonly string[] {
  return ["update-ref", "--", ownRef(ref), commitName(hash)];
}

export function forgetArguments(ref: string): readonly string[] {
  return ["update-ref", "-d", "--", ownRef(ref)];
}

export const repackArguments: readonly string[] = ["gc", "--quiet", "--prune=2.weeks.ago"];

/**
 * The ref that bears a name of ours. The name becomes one part, so that `a` and `a/b` can both be kept; what is not a
 * letter, a digit, `-` or `_` is written `=HEX`. A name too long for a file's is a digest.
 */
export function keepRef(name: string): string {
  const encoded = [...Buffer.from(name)]
    .map((byte) =>
      /[A-Za-z0-9_-]/.test(String.fromCharCode(byte))
        ? String.fromCharCode(byte)
        : `=${byte.toString(16).padStart(2, "0")}`,
    )
    .join("");
  if (encoded.length <= 200) return refPrefixes.keep + encoded;
  return `${refPrefixes.keep}=sha256-${createHash("sha256").update(name).digest("hex")}`;
}

export function isCommitName(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

function commitName(text: string): string {
  if (!isCommitName(text)) throw new TypeError(`"${text}" is not the name of a commit`);
  return text;
}

function ownRef(text: string): string {
  if (!text.startsWith("refs/bodywork/")) throw new TypeError(`"${text}" is not a ref of ours`);
  return text;
}
