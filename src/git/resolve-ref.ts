import { Failure } from "../core/failure.ts";
import { nearName } from "../core/near-name.ts";
import { printable } from "../core/printable.ts";
import type { RunCommit } from "../core/run-state.ts";
import {
  commitNameArguments,
  isCommitName,
  listRefsArguments,
  logArguments,
  refPrefixes,
  revisionsOf,
  symrefArguments,
} from "./git-arguments.ts";
import { type GitMachine, runGit } from "./git-command.ts";
import { readMirrorRecord, writeMirrorRecord } from "./mirror.ts";
import type { Remote } from "./open-remote.ts";
import type { RepositoryUrl } from "./repository-url.ts";

/** The name of a branch or tag, a commit, or undefined for the remote's HEAD. Fails: ref-not-found. */
export function checkRef(ref: string | undefined, url: RepositoryUrl): string | undefined {
  if (ref === undefined || ref === "HEAD") return undefined;
  if (/^[0-9a-f]{40}$/i.test(ref)) return ref.toLowerCase();
  if (isRefName(ref)) return ref;
  throw new Failure(
    "ref-not-found",
    `Git clone failed - cannot fetch ${url.shown}: "${printable(ref.slice(0, 200))}" is not a name that a branch or tag can have.`,
    { hint: "Name a branch, a tag, or a commit by 7 to 40 of its digits." },
  );
}

/** The commit of a ref that `checkRef` has passed, as the mirror has it; undefined when it has none. */
export async function findCommit(
  machine: GitMachine,
  mirror: string,
  url: RepositoryUrl,
  ref: string | undefined,
): Promise<FoundCommit | undefined> {
  const revisions = ref === undefined ? [refPrefixes.head] : revisionsOf(ref);
  const { exitCode, stdout, stderr } = await runGit(machine, {
    gitDir: mirror,
    args: logArguments(revisions),
    timeout: 60_000,
  });
  if (exitCode !== 0) {
    throw new Failure(
      "store-damaged",
      `Unable to retrieve git commit hash: git cannot read its copy of ${url.shown}.`,
      {
        details: stderr
          .split("\n")
          .filter((line) => line !== "")
          .map(printable),
        hint: "Deploy it again: the copy is fetched anew.",
      },
    );
  }
  const [line = ""] = stdout.split("\n");
  if (line === "") return undefined;
  const [hash = "", shortHash = "", author = "", committedAt = "", subject = "", decorations = ""] =
    line.split("\0");
  return {
    commit: {
      repository: url.key,
      hash,
      url: url.shown,
      shortHash,
      branch: ref === undefined || isCommitName(ref) ? undefined : ref.replace(/^refs\/(heads|tags)\//, ""),
      author: printable(author),
      subject: printable(subject),
      committedAt,
    },
    branchesAtIt: decorations
      .split(", ")
      .flatMap((name) => (name.startsWith(refPrefixes.heads) ? [name.slice(refPrefixes.heads.length)] : [])),
  };
}

/** The one commit whose name begins with the ref; undefined when there is none, or several, or the ref is none such. */
export async function findShortCommit(
  machine: GitMachine,
  mirror: string,
  url: RepositoryUrl,
  ref: string | undefined,
): Promise<FoundCommit | undefined> {
  if (ref === undefined || !looksShort(ref)) return undefined;
  const { exitCode, stdout } = await runGit(machine, {
    gitDir: mirror,
    args: commitNameArguments(ref),
    timeout: 60_000,
  });
  return exitCode === 0 ? findCommit(machine, mirror, url, stdout.trim()) : undefined;
}

function looksShort(ref: string): boolean {
  return /^[0-9a-f]{7,39}$/i.test(ref);
}

interface FoundCommit {
  readonly commit: RunCommit;
  readonly branchesAtIt: readonly string[];
}

/**
 * The branch that the remote's HEAD stands for. git does not say it when it fetches, so it is told by the commit: the
 * branch that it was before when that is still there, else the only one. Only when that leaves it open is the remote
 * asked. Undefined when HEAD is at no branch.
 */
export async function nameDefaultBranch(
  mirror: string,
  remote: Remote,
  branchesAtIt: readonly string[],
): Promise<string | undefined> {
  const record = readMirrorRecord(mirror);
  const before = record?.defaultBranch;
  if (before !== undefined && branchesAtIt.includes(before)) return before;
  const name = branchesAtIt.length < 2 ? branchesAtIt[0] : await askDefaultBranch(mirror, remote);
  writeMirrorRecord(mirror, { url: remote.url.shown, defaultBranch: name });
  return name;
}

async function askDefaultBranch(mirror: string, remote: Remote): Promise<string | undefined> {
  const asked = await remote.run(mirror, symrefArguments(remote.url));
  if (!asked.ok) throw asked.failure;
  return /^ref: refs\/heads\/(\S+)\tHEAD$/m.exec(asked.stdout)?.[1];
}

/** Says what there is instead. */
export async function refNotFound(
  machine: GitMachine,
  mirror: string,
  url: RepositoryUrl,
  ref: string | undefined,
): Promise<Failure> {
  const branches = await namesBelow(machine, mirror, refPrefixes.heads);
  const tags = await namesBelow(machine, mirror, refPrefixes.tags);
  const cloning = `Git clone failed - cannot fetch ${url.shown}:`;
  if (branches.length === 0 && tags.length === 0) {
    return new Failure("ref-not-found", `${cloning} it is empty.`, {
      hint: "Commit the project and push it.",
    });
  }
  const near = ref === undefined ? undefined : nearName(ref, [...branches, ...tags]);
  return new Failure(
    "ref-not-found",
    ref === undefined
      ? `${cloning} its default branch has no commit.`
      : `${cloning} it has no ${isCommitName(ref) ? "commit" : "branch, tag or commit"} "${printable(ref)}".`,
    {
      details: [listed("Branches", branches), ...(tags.length === 0 ? [] : [listed("Tags", tags)])],
      hint:
        near !== undefined
          ? `Did you mean --branch ${near}?`
          : ref !== undefined && looksShort(ref)
            ? "Name a commit by all its 40 digits."
            : "Name one of them with --branch.",
    },
  );
}

async function namesBelow(machine: GitMachine, mirror: string, prefix: string): Promise<readonly string[]> {
  const { stdout } = await runGit(machine, {
    gitDir: mirror,
    args: listRefsArguments(prefix),
    timeout: 60_000,
  });
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.slice(line.indexOf(" ") + 1 + prefix.length));
}

function listed(what: string, names: readonly string[]): string {
  const shown = names.slice(0, 20).map(printable);
  const more = names.length - shown.length;
  return `${what}: ${shown.join(", ") || "none"}${more > 0 ? ` and ${more} more` : ""}`;
}

/** The rules of git-check-ref-format. */
function isRefName(ref: string): boolean {
  if (ref.length > 1024 || ref.startsWith("-") || ref === "@") return false;
  if (/[\p{Cc} ~^:?*[\\]|\.\.|@\{/u.test(ref)) return false;
  return ref
    .split("/")
    .every((part) => part !== "" && !part.startsWith(".") && !part.endsWith(".") && !part.endsWith(".lock"));
}
