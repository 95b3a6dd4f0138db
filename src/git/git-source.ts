import { lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";

import { Failure } from "../core/failure.ts";
import { pathInRepository } from "../core/repository-path.ts";
import type { CommitRef, RunCommit } from "../core/run-state.ts";
import { acquireLock } from "../lib/process-lock.ts";
import type { RepositoryRequest, Source } from "../ports/source.ts";
import { archiveCommit } from "./archive-commit.ts";
import { removeLeftCallFolders } from "./call-folder.ts";
import { checkOutCommit } from "./check-out.ts";
import { createCommitTrees } from "./commit-tree.ts";
import { fetchRepository } from "./fetch-repository.ts";
import { forgetArguments, isCommitName, keepArguments, keepRef } from "./git-arguments.ts";
import { type GitMachine, requireGit, runGit } from "./git-command.ts";
import { isUsable, markDamaged } from "./mirror.ts";
import { openRemote, type RemoteParts } from "./open-remote.ts";
import { parseRepositoryUrl, type RepositoryUrl } from "./repository-url.ts";
import { checkRef, findCommit, findShortCommit, nameDefaultBranch, refNotFound } from "./resolve-ref.ts";
import { tendMirror } from "./tend-mirror.ts";

export interface GitSourceOptions {
  /** Absolute; mirrors, locks and accepted host keys are kept in it. Nobody else writes there. */
  readonly folder: string;
  /** The machine's variables for git and what it starts. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where the user's `.ssh/known_hosts` and `.netrc` are; `HOME` of the environment by default. */
  readonly homeFolder?: string | undefined;
  /** Hosts (`host` or `host:port`) from which repositories may be fetched over plain http. */
  readonly insecureHosts: readonly string[];
  readonly fetchTimeoutSeconds: number;
  readonly maxRepositoryMb: number;
}

/**
 * Commits out of bare mirrors, `<folder>/mirrors/<key>`, one for each address, which are fetched incrementally and under
 * a lock. A ref becomes a commit before anything is read; from then on the remote is not needed.
 */
export function createGitSource(options: GitSourceOptions): Source {
  const { folder } = options;
  const machine: GitMachine = { environment: options.environment, folder };
  const remoteParts: RemoteParts = {
    machine,
    homeFolder: options.homeFolder ?? options.environment.HOME,
    fetchTimeoutSeconds: options.fetchTimeoutSeconds,
    maxRepositoryMb: options.maxRepositoryMb,
    askingHosts: new Set(),
  };
  const mirrorOf = ({ repository }: Pick<CommitRef, "repository">): string => {
    if (!/^[0-9a-f]{32}$/.test(repository)) throw new TypeError(`"${repository}" is not the key of a mirror`);
    return join(folder, "mirrors", repository);
  };
  const lockFile = (key: string): string => join(folder, "locks", key);
  const trees = createCommitTrees(machine, mirrorOf);
  let gitIsThere: Promise<void> | undefined;

  const prepare = async (): Promise<void> => {
    mkdirSync(join(folder, "mirrors"), { recursive: true, mode: 0o700 });
    refuseForeignFolder(folder);
    removeLeftCallFolders(join(folder, "calls"));
    gitIsThere ??= requireGit(machine);
    await gitIsThere.catch((error: unknown) => {
      gitIsThere = undefined;
      throw error;
    });
  };

  /** The commit when the mirror has it whole. */
  const knownCommit = async (url: RepositoryUrl, ref: string | undefined): Promise<RunCommit | undefined> => {
    if (ref === undefined || !isCommitName(ref) || !isUsable(mirrorOf({ repository: url.key })))
      return undefined;
    try {
      const found = await findCommit(machine, mirrorOf({ repository: url.key }), url, ref);
      if (found !== undefined) await trees.tree(found.commit);
      return found?.commit;
    } catch (error) {
      if (isDamage(error)) return undefined; // It is fetched anew.
      throw error;
    }
  };

  const fetchAndFind = async (
    url: RepositoryUrl,
    ref: string | undefined,
    request: RepositoryRequest,
    signal: AbortSignal,
  ): Promise<RunCommit> => {
    const mirror = mirrorOf({ repository: url.key });
    const remote = await openRemote(remoteParts, url, request, signal);
    const wanted =
      ref === undefined
        ? ({ head: true } as const)
        : isCommitName(ref)
          ? ({ commit: ref } as const)
          : ({ named: true } as const);
    await fetchRepository(machine, mirror, remote, wanted);
    const found =
      (await findCommit(machine, mirror, url, ref)) ?? (await findShortCommit(machine, mirror, url, ref));
    if (found === undefined) throw await refNotFound(machine, mirror, url, ref);
    await trees.tree(found.commit);
    if (ref !== undefined) return found.commit;
    return { ...found.commit, branch: await nameDefaultBranch(mirror, remote, found.branchesAtIt) };
  };

  return {
    check(url) {
      parseRepositoryUrl(url, options.insecureHosts);
    },

    async resolve(request, signal) {
      const url = parseRepositoryUrl(request.url, options.insecureHosts);
      const ref = checkRef(request.ref, url);
      const mirror = mirrorOf({ repository: url.key });
      return orCancelled(url, signal, async () => {
        await prepare();
        const known = await knownCommit(url, ref);
        if (known !== undefined) return known;
        const lock = await acquireLock(lockFile(url.key), { signal });
        try {
          return await fetchAndFind(url, ref, request, signal).catch((error: unknown) => {
            if (!isDamage(error)) throw error;
            markDamaged(mirror);
            return fetchAndFind(url, ref, request, signal);
          });
        } finally {
          lock.release();
          // Nobody waits for it, and what fails is done the next time.
          tendMirror(machine, mirror, lockFile(`${url.key}.tend`)).catch(() => false);
        }
      });
    },

    async readFile(commit, path) {
      const plain = pathInRepository("", path);
      const entry = plain === undefined ? undefined : (await trees.tree(commit)).byPath.get(plain);
      if (entry === undefined || (entry.kind !== "file" && entry.kind !== "executable")) return undefined;
      const { isSmall } = await trees.tree(commit);
      const contents = isSmall ? await trees.allContents(commit) : await trees.contents(commit, [entry]);
      const content = contents.get(entry.object);
      return content === undefined ? undefined : Buffer.from(content);
    },

    async listFiles(commit) {
      const { entries } = await trees.tree(commit);
      return new Set(entries.filter(({ kind }) => kind !== "submodule").map(({ path }) => path));
    },

    async checkOut(commit, target, signal) {
      const maxBytes = options.maxRepositoryMb * 1024 * 1024;
      await checkOutCommit({ machine, trees, maxBytes }, mirrorOf(commit), commit, target, signal);
    },

    async archive(commit, signal) {
      const maxBytes = options.maxRepositoryMb * 1024 * 1024;
      return archiveCommit({ machine, trees, maxBytes }, mirrorOf(commit), commit, signal);
    },

    async keep(commit, name) {
      const mirror = mirrorOf(commit);
      const keeping = await runGit(machine, {
        gitDir: mirror,
        args: keepArguments(keepRef(name), commit.hash),
      });
      if (keeping.exitCode === 0) return;
      throw new Failure(
        "store-damaged",
        `Cannot keep commit ${commit.hash}: the copy of its repository is damaged or gone.`,
        {
          details: keeping.stderr.split("\n").filter((line) => line !== ""),
          hint: "Deploy it again: the copy is fetched anew.",
        },
      );
    },

    async forget(commit, name) {
      const mirror = mirrorOf(commit);
      if (!isUsable(mirror)) return; // With the mirror went all that was kept in it.
      const forgetting = await runGit(machine, { gitDir: mirror, args: forgetArguments(keepRef(name)) });
      if (forgetting.exitCode === 0) return;
      throw new Failure("store-damaged", `Cannot forget commit ${commit.hash}: git ended with an error.`, {
        details: forgetting.stderr.split("\n").filter((line) => line !== ""),
      });
    },
  };
}

/** Another user who owns the folder could put what they like into it. */
function refuseForeignFolder(folder: string): void {
  const { uid } = lstatSync(folder);
  const own = process.getuid?.();
  if (own === undefined || uid === own) return;
  throw new Failure("home-unsafe", `Cannot use ${folder}: it belongs to another user (user id ${uid}).`, {
    hint: "Give it back to the user that runs bodywork, or choose another folder with BODYWORK_HOME.",
  });
}

async function orCancelled<Result>(
  url: RepositoryUrl,
  signal: AbortSignal,
  action: () => Promise<Result>,
): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new Failure("cancelled", `Fetching ${url.shown} was cancelled.`, { cause: error });
  }
}

function isDamage(error: unknown): boolean {
  return error instanceof Failure && error.code === "store-damaged";
}
