import { type GitMachine, runUsersGit } from "./git-command.ts";
import type { HttpUrl } from "./repository-url.ts";

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/**
 * User name and password of a server, from the helpers that the user's own git is set up with; undefined when they know
 * none. Nobody is asked.
 */
export async function askUsersGit(
  machine: GitMachine,
  url: HttpUrl,
  signal: AbortSignal | undefined,
): Promise<Credentials | undefined> {
  const question = [
    `protocol=${url.protocol}`,
    `host=${url.host}`,
    `path=${new URL(url.address).pathname.slice(1)}`,
    ...(url.username === undefined ? [] : [`username=${url.username}`]),
  ];
  const { exitCode, stdout } = await runUsersGit(machine, {
    args: ["credential", "fill"],
    input: `${question.join("\n")}\n\n`,
    timeout: 60_000,
    signal,
  });
  if (exitCode !== 0) return undefined;
  const answer = new Map(
    stdout.split("\n").map((line): [string, string] => {
      const end = line.indexOf("=");
      return [line.slice(0, end), line.slice(end + 1)];
    }),
  );
  const [username, password] = [answer.get("username"), answer.get("password")];
  return username === undefined || password === undefined ? undefined : { username, password };
}

/** The user's settings of proxies and certificates, for all servers and for single ones. */
export async function usersHttpSettings(
  machine: GitMachine,
  signal: AbortSignal | undefined,
): Promise<readonly (readonly [string, string])[]> {
  const { exitCode, stdout } = await runUsersGit(machine, {
    args: ["config", "--null", "--includes", "--get-regexp", "^http\\."],
    timeout: 60_000,
    signal,
  });
  if (exitCode !== 0) return [];
  return stdout.split("\0").flatMap((entry): (readonly [string, string])[] => {
    const end = entry.indexOf("\n");
    const name = entry.slice(0, end);
    const isCarriedOver = carriedOver.has(name.slice(name.lastIndexOf(".") + 1).toLowerCase());
    return end > 0 && isCarriedOver ? [[name, entry.slice(end + 1)]] : [];
  });
}

/** Folders of other users that the user has declared to be safe; also what lifts it again, the empty value. */
export async function usersSafeDirectories(
  machine: GitMachine,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const { exitCode, stdout } = await runUsersGit(machine, {
    args: ["config", "--null", "--includes", "--get-all", "safe.directory"],
    timeout: 60_000,
    signal,
  });
  return exitCode === 0 ? stdout.split("\0").slice(0, -1) : [];
}

/** Of `http.<name>` and `http.<url>.<name>`. What would lower the guard (`sslVerify`) or send more is not. */
const carriedOver: ReadonlySet<string> = new Set([
  "proxy",
  "proxyauthmethod",
  "proxysslcert",
  "proxysslkey",
  "proxysslcainfo",
  "sslcainfo",
  "sslcapath",
  "sslcert",
  "sslkey",
  "sslbackend",
]);
