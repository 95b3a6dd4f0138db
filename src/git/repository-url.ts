import { createHash } from "node:crypto";
import { fileURLToPath, pathToFileURL } from "node:url";

import { Failure } from "../core/failure.ts";
import { printable } from "../core/printable.ts";

interface AnyUrl {
  /** What git is given; never with credentials. */
  readonly address: string;
  /** As the user wrote it, without credentials: what is recorded and printed. */
  readonly shown: string;
  /** Key of the mirror: 32 hex digits of a digest of the address. */
  readonly key: string;
}

export interface HttpUrl extends AnyUrl {
  readonly protocol: "https" | "http";
  /** `host` or `host:port`, lower case. */
  readonly host: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

export interface SshUrl extends AnyUrl {
  readonly protocol: "ssh";
  /** Without the brackets of an IPv6 address. */
  readonly host: string;
  readonly port: number | undefined;
}

export interface FileUrl extends AnyUrl {
  readonly protocol: "file";
  readonly path: string;
}

export type RepositoryUrl = HttpUrl | SshUrl | FileUrl;

/**
 * Reads the address of a repository: `https://…`, `ssh://…`, `user@host:path`, `file:///…`, and `http://…` for the hosts
 * in `insecureHosts` (`host` or `host:port`). What git, ssh or a shell could take for an option, another transport or
 * several lines is refused. Fails: repository-url.
 */
export function parseRepositoryUrl(text: string, insecureHosts: readonly string[]): RepositoryUrl {
  const refuse = (found: string, hint: string): never => {
    throw new Failure("repository-url", `Cannot use the repository ${showUnread(text)}: ${found}.`, { hint });
  };
  const unknown = (): never =>
    refuse(
      "cannot identify connection protocol, only HTTPS, SSH and file URLs are supported",
      /^\/(?!\/)/.test(text)
        ? `For a repository on this machine write ${pathToFileURL(text).href}`
        : "Write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or file:///PATH.",
    );
  const malformed = (what: string): never => refuse(what, "Check the address for typing errors.");

  if (text === "" || text.length > 2048) malformed("an address has 1 to 2048 characters");
  if (/[\s\p{Cc}\p{Cf}\\]/u.test(text)) {
    malformed("it has a space, a control character or a backslash in it");
  }
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1]?.toLowerCase();
  switch (scheme) {
    case undefined:
      return parseScpLike(text) ?? unknown();
    case "https":
    case "http": {
      const url = parseHttp(text, scheme) ?? malformed("it is not a whole address of a host and a path");
      if (scheme === "https" || insecureHosts.some((host) => isHost(host, url))) return url;
      return refuse(
        "cannot identify connection protocol that is safe, for plain http is neither encrypted nor verified",
        `Use https, or list the host in settings.yaml: insecure_git_hosts: [${url.host}]`,
      );
    }
    case "ssh":
      return parseSsh(text) ?? malformed("it is not of the form ssh://[USER@]HOST[:PORT]/PATH");
    case "file":
      return parseFile(text) ?? malformed("it is not of the form file:///ABSOLUTE/PATH");
    default:
      return unknown();
  }
}

function parseHttp(text: string, protocol: "https" | "http"): HttpUrl | undefined {
  // The parser would quietly turn other characters that look like a dot or a slash into one, and two hosts into one.
  if (!/^https?:\/\/(?:[^/?#@]*@)?(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?\/[^?#]+$/i.test(text)) {
    return undefined;
  }
  if (!URL.canParse(text) || hasEncodedControl(text)) return undefined;
  const url = new URL(text);
  const username = decoded(url.username);
  const password = decoded(url.password);
  if (url.host === "" || username === undefined || password === undefined) return undefined;
  return {
    protocol,
    host: url.host,
    username: username || undefined,
    password: password || undefined,
    ...addressed(`${protocol}://${url.host}${url.pathname}`, text.replace(/^(https?:\/\/)[^/@]*@/i, "$1")),
  };
}

function parseSsh(text: string): SshUrl | undefined {
  const parts = /^ssh:\/\/(?:([^@/:]+)@)?(\[[0-9a-f:.]+\]|[^@/:[\]]+)(?::(\d{1,5}))?(\/.+)$/i.exec(text);
  if (parts === null || hasEncodedControl(text)) return undefined;
  const [, user, host = "", port, path = ""] = parts;
  if (!isSshUser(user) || !isSshHost(host)) return undefined;
  const number = port === undefined ? undefined : Number(port);
  if (number !== undefined && (number < 1 || number > 65_535)) return undefined;
  const login = user === undefined ? host : `${user}@${host}`;
  return {
    protocol: "ssh",
    host: withoutBrackets(host),
    port: number,
    ...addressed(`ssh://${login}${number === undefined ? "" : `:${number}`}${path}`, text),
  };
}

function parseScpLike(text: string): SshUrl | undefined {
  const parts = /^(?:([^@/:]+)@)?(\[[0-9a-f:.]+\]|[^@/:[\]]+):([^:].*)$/i.exec(text);
  if (parts === null) return undefined;
  const [, user, host = "", path = ""] = parts;
  if (!isSshUser(user) || !isSshHost(host) || path.startsWith("-") || path.startsWith("//")) return undefined;
  // `C:/x` is a disk, `https:/x` a slip of the hand, and a page may make a link of `javascript:x`.
  const isScheme = host.length === 1 || /^(https?|ssh|file|git|ftp|data|javascript)$/i.test(host);
  if (user === undefined && isScheme) return undefined;
  return { protocol: "ssh", host: withoutBrackets(host), port: undefined, ...addressed(text, text) };
}

function parseFile(text: string): FileUrl | undefined {
  if (!/^file:\/\/(localhost)?\/[^?#]+$/i.test(text) || hasEncodedControl(text)) return undefined;
  try {
    const path = fileURLToPath(text);
    return { protocol: "file", path, ...addressed(pathToFileURL(path).href, text) };
  } catch {
    return undefined; // An encoded slash, or an encoding that is broken.
  }
}

function addressed(address: string, shown: string): AnyUrl {
  return { address, shown, key: createHash("sha256").update(address).digest("hex").slice(0, 32) };
}

function isSshUser(user: string | undefined): boolean {
  return user === undefined || /^[A-Za-z0-9_][A-Za-z0-9._+~-]*$/.test(user);
}

function isSshHost(host: string): boolean {
  return /^(\[[0-9a-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*)$/i.test(host);
}

function withoutBrackets(host: string): string {
  return host.replace(/^\[|\]$/g, "");
}

/** Line ends and NUL, which git's own protocols between its parts do not bear. */
function hasEncodedControl(text: string): boolean {
  return /%[01][0-9a-f]|%7f/i.test(text);
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function isHost(listed: string, url: HttpUrl): boolean {
  const host = listed.toLowerCase();
  return host === url.host || host === url.host.replace(/:\d+$/, "");
}

/** Without what may be a password or a token, wherever in what can't be read it stands. */
function showUnread(text: string): string {
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:\/*/.exec(text)?.[0] ?? "";
  const [address = "", ...query] = text.slice(scheme.length).split(/[?#]/);
  const shown = `${scheme}${address.slice(address.lastIndexOf("@") + 1)}${query.length > 0 ? "?…" : ""}`;
  return `"${printable(shown.slice(0, 200))}"`;
}
