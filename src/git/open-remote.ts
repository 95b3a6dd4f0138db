import { join } from "node:path";

import { Failure } from "../core/failure.ts";
import type { CommandResult } from "../lib/run-command.ts";
import type { RepositoryRequest } from "../ports/source.ts";
import { makeCallFolder } from "./call-folder.ts";
import { type FetchTrouble, fetchFailure, fetchTroubleOf, wordsOf } from "./fetch-trouble.ts";
import { acceptHostKey } from "./find-host-keys.ts";
import { type GitMachine, runGit } from "./git-command.ts";
import { packBytes, removeBegunPacks, removeLeftLocks } from "./mirror.ts";
import { type RemoteAccess, reachRemote } from "./remote-access.ts";
import type { RepositoryUrl } from "./repository-url.ts";
import { askUsersGit, usersHttpSettings, usersSafeDirectories } from "./users-git.ts";

export interface RemoteParts {
  readonly machine: GitMachine;
  /** The user's, for `~/.ssh/known_hosts` and `~/.netrc`. */
  readonly homeFolder: string | undefined;
  readonly fetchTimeoutSeconds: number;
  readonly maxRepositoryMb: number;
  /** Servers that have asked for credentials before: the next time they get them at once. */
  readonly askingHosts: Set<string>;
}

/** What came of one git command at the remote. */
export type RemoteOutcome =
  | { readonly ok: true; readonly stdout: string }
  | { readonly ok: false; readonly trouble: FetchTrouble; readonly failure: Failure };

export interface Remote {
  readonly url: RepositoryUrl;
  /**
   * Runs a git command that talks with the remote, in the mirror. What can be mended without a person is, and tried
   * again: credentials that the user's git knows, a host key that the user accepts. Fails: repository-limit, timed-out,
   * host-key, git-missing.
   */
  run(mirror: string, args: readonly string[]): Promise<RemoteOutcome>;
}

/** A remote for the length of one request; its time limit begins now. */
export async function openRemote(
  parts: RemoteParts,
  url: RepositoryUrl,
  request: RepositoryRequest,
  signal: AbortSignal,
): Promise<Remote> {
  const { machine } = parts;
  const endsAt = performance.now() + parts.fetchTimeoutSeconds * 1000;
  const acceptedHostsFile = join(machine.folder, "known_hosts");
  const isHttp = url.protocol === "http" || url.protocol === "https";
  const tried = new Set<FetchTrouble>();
  let access: RemoteAccess = {
    credentials:
      isHttp && url.password !== undefined
        ? { username: url.username ?? "", password: url.password }
        : isHttp && parts.askingHosts.has(url.host)
          ? await askUsersGit(machine, url, signal)
          : undefined,
    sshKey: url.protocol === "ssh" ? request.sshKey?.trim() || undefined : undefined,
    acceptedHostsFile,
    homeFolder: parts.homeFolder,
    httpSettings: isHttp ? await usersHttpSettings(machine, signal) : [],
    safeDirectories: [],
  };

  const secrets = (): readonly (string | undefined)[] => [
    access.credentials?.password,
    ...(isHttp ? [url.username, url.password] : []),
  ];

  /** True when something is different now, so that it is worth another try. */
  const mend = async (trouble: FetchTrouble, mirror: string, words: readonly string[]): Promise<boolean> => {
    if (tried.has(trouble)) return false;
    tried.add(trouble);
    switch (trouble) {
      case "credentials": {
        if (!isHttp || access.credentials !== undefined) return false;
        // Some forges take a token as the user's name, without a password.
        const withoutPassword =
          url.username === undefined ? undefined : { username: url.username, password: "" };
        const credentials = (await askUsersGit(machine, url, signal)) ?? withoutPassword;
        if (credentials === undefined) return false;
        parts.askingHosts.add(url.host);
        access = { ...access, credentials };
        return true;
      }
      case "host-key-unknown":
      case "host-key-changed": {
        const accepted = request.acceptHostKey;
        if (url.protocol !== "ssh") return false;
        if (trouble === "host-key-changed" && accepted?.startsWith("SHA256:") !== true) return false;
        await acceptHostKey(machine, url, { accepted, acceptedHostsFile, words, signal });
        return true;
      }
      case "dubious-ownership": {
        const safeDirectories = await usersSafeDirectories(machine, signal);
        access = { ...access, safeDirectories };
        return safeDirectories.length > 0;
      }
      case "locked":
        removeLeftLocks(mirror);
        return true;
      default:
        return false;
    }
  };

  const runOnce = async (mirror: string, args: readonly string[]): Promise<CommandResult> => {
    const call = makeCallFolder(join(machine.folder, "calls"));
    const size = watchSize(mirror, parts.maxRepositoryMb * 1024 * 1024);
    try {
      const result = await runGit(machine, {
        gitDir: mirror,
        args,
        ...reachRemote(url, access, call.path),
        timeout: Math.max(1, endsAt - performance.now()),
        signal: AbortSignal.any([signal, size.signal]),
      });
      signal.throwIfAborted();
      if (size.isExceeded()) throw tooLarge(url, parts.maxRepositoryMb);
      if (result.timedOut) throw tooSlow(url, parts.fetchTimeoutSeconds);
      return result;
    } finally {
      size.stop();
      removeBegunPacks(mirror);
      call.remove();
    }
  };

  return {
    url,
    async run(mirror, args) {
      for (;;) {
        const result = await runOnce(mirror, args);
        if (result.exitCode === 0) return { ok: true, stdout: result.stdout };
        const trouble = fetchTroubleOf(result.stderr);
        const words = wordsOf(result.stderr, secrets());
        if (await mend(trouble, mirror, words)) continue;
        const failure = fetchFailure(trouble, url, words, {
          withKey: access.sshKey !== undefined,
          withCredentials: access.credentials !== undefined,
        });
        return { ok: false, trouble, failure };
      }
    },
  };
}

/** Looks at the mirror's packs five times a second. */
function watchSize(
  mirror: string,
  limit: number,
): { readonly signal: AbortSignal; isExceeded(): boolean; stop(): void } {
  const exceeded = new AbortController();
  const isExceeded = (): boolean => exceeded.signal.aborted || packBytes(mirror) > limit;
  const timer = setInterval(() => {
    if (isExceeded()) exceeded.abort();
  }, 200);
  return { signal: exceeded.signal, isExceeded, stop: () => clearInterval(timer) };
}

function tooLarge(url: RepositoryUrl, megabytes: number): Failure {
  return new Failure(
    "repository-limit",
    `Git clone failed - cannot fetch ${url.shown}: it is larger than ${megabytes} MiB.`,
    {
      hint: "Keep data and models out of the repository, or raise git.max_repository_mb in settings.yaml.",
    },
  );
}

function tooSlow(url: RepositoryUrl, seconds: number): Failure {
  return new Failure(
    "timed-out",
    `Git clone failed - cannot fetch ${url.shown}: it was not here after ${seconds} seconds.`,
    {
      hint: "Try again, or raise git.fetch_timeout_seconds in settings.yaml.",
    },
  );
}
