import { Failure, type FailureCode } from "../core/failure.ts";
import { printable } from "../core/printable.ts";
import type { RepositoryUrl } from "./repository-url.ts";

/** Why a fetch failed, as git, ssh and curl say it (in English: LC_ALL=C). */
export type FetchTrouble =
  | "host-key-unknown"
  | "host-key-changed"
  | "ssh-missing"
  | "ssh-access"
  | "credentials"
  | "not-found"
  | "forbidden"
  | "dubious-ownership"
  | "certificate"
  | "unreachable"
  | "no-such-ref"
  | "protocol"
  | "refused-content"
  | "object-format"
  | "locked"
  | "disk-full"
  | "unknown";

/** Reads it from what git printed. The first that fits: ssh's own words come before git's guess at them. */
export function fetchTroubleOf(stderr: string): FetchTrouble {
  return signs.find(([, sign]) => sign.test(stderr))?.[0] ?? "unknown";
}

const signs: readonly (readonly [FetchTrouble, RegExp])[] = [
  ["host-key-changed", /REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed/i],
  ["host-key-unknown", /No .* host key is known for|Host key verification failed/],
  ["ssh-missing", /cannot run ssh|ssh: (command )?not found/],
  ["dubious-ownership", /detected dubious ownership|unsafe repository/],
  ["disk-full", /No space left on device|Disk quota exceeded/],
  [
    "certificate",
    /SSL certificate problem|certificate verif|server verification failed|unable to get local issuer/i,
  ],
  [
    "no-such-ref",
    /couldn't find remote ref|not our ref|no such remote ref|does not allow request for unadvertised/,
  ],
  ["protocol", /transport '.*' not allowed|protocol .* (not supported|disabled)|Unsupported protocol/i],
  ["object-format", /mismatched algorithms|unsupported object format/],
  ["refused-content", /fsck error|error in object|object of unexpected type|invalid (index-pack|object)/],
  [
    "credentials",
    /could not read (Username|Password)|terminal prompts disabled|Authentication failed|returned error: 401|invalid credentials/i,
  ],
  ["forbidden", /returned error: 403|access denied|HTTP Basic: Access denied|not authorized/i],
  [
    "ssh-access",
    /Permission denied \(|Permission denied, please try again|Load key .*:|Too many authentication failures|no mutual signature/,
  ],
  [
    "not-found",
    /Repository not found|repository '.*' not found|does not appear to be a git repository|returned error: 404|project you were looking for could not be found|does not exist/i,
  ],
  [
    "unreachable",
    /Could not resolve|Name or service not known|Temporary failure in name resolution|Connection (refused|timed out|reset)|Failed to connect|Couldn't connect|Network is unreachable|No route to host|Operation (too slow|timed out)|Connection closed by|kex_exchange_identification|remote end hung up|early EOF|RPC failed|returned error: (408|429|5\d\d)|Empty reply|unexpected disconnect|TLS (connect|handshake)|SSL_ERROR|gnutls_handshake|Received HTTP code \d+ from proxy|bytes of body are still expected/i,
  ],
  ["locked", /Unable to create '.*\.lock'|cannot lock ref/],
];

/** The failure to tell the user. `words` are git's own, without credentials. */
export function fetchFailure(
  trouble: FetchTrouble,
  url: RepositoryUrl,
  words: readonly string[],
  access: { readonly withKey: boolean; readonly withCredentials: boolean },
): Failure {
  const host = url.protocol === "file" ? "" : url.host;
  const cloning = `Git clone failed - cannot fetch ${url.shown}:`;
  const failure = (code: FailureCode, message: string, hint: string): Failure =>
    new Failure(code, message, { hint, details: words });
  switch (trouble) {
    case "host-key-changed":
      return failure(
        "host-key",
        `SECURITY ALERT! SSH Fingerprint received from server does not match the fingerprint for ${host}.`,
        `Somebody may be posing as ${host}. If it has a new key: compare the fingerprint with the one that it publishes, then deploy with --accept-host-key SHA256:…`,
      );
    case "host-key-unknown":
      return failure(
        "host-key",
        `${cloning} the SSH host key of ${host} is not known.`,
        `Add the key that ${host} publishes to ~/.ssh/known_hosts.`,
      );
    case "ssh-missing":
      return failure(
        "git-missing",
        `${cloning} there is no ssh.`,
        "Install the OpenSSH client, or use https.",
      );
    case "ssh-access":
      return failure(
        "repository-access",
        access.withKey
          ? `${cloning} ${host} did not accept the private key.`
          : `Failed to setup SSH for ${host}: it accepted no key of the SSH agent or of ~/.ssh, and no other was given.`,
        access.withKey
          ? "Check that the key's public part is registered for this repository, and that the key has no passphrase."
          : "Name a private key with --ssh PATH, or put its text into BODYWORK_GIT_SSH_PRIVATE_KEY.",
      );
    case "credentials":
      return failure(
        "repository-access",
        access.withCredentials
          ? `${cloning} ${host} did not accept the user name and password.`
          : `${cloning} ${host} asks for a user name and a password (or there is no such repository), and your git knows none.`,
        `Have git keep them (a credential helper: git credential approve, or gh auth setup-git), or use an SSH address with --ssh PATH.`,
      );
    case "forbidden":
      return failure(
        "repository-access",
        `${cloning} ${host} does not allow it.`,
        "Check that the account or token may read this repository.",
      );
    case "not-found":
      return failure(
        "repository-access",
        `${cloning} there is no such repository, or it may not be read.`,
        url.protocol === "file"
          ? "Check the path: it must be a Git repository."
          : "Check the address, and that the account or key may read it.",
      );
    case "dubious-ownership":
      return failure(
        "repository-access",
        `${cloning} the folder belongs to another user.`,
        `If you trust it: git config --global --add safe.directory ${url.protocol === "file" ? url.path : ""}`,
      );
    case "certificate":
      return failure(
        "repository-access",
        `${cloning} the certificate of ${host} cannot be verified.`,
        "Name the file of your certificate authorities: git config --global http.sslCAInfo FILE",
      );
    case "no-such-ref":
      return failure("ref-not-found", `${cloning} it has no such branch, tag or commit.`, "Check --branch.");
    case "protocol":
      return failure(
        "repository-url",
        `${cloning} the server leads to an address of another kind, which is not followed.`,
        "Use the address that the server leads to.",
      );
    case "object-format":
      return failure(
        "repository-access",
        `${cloning} it is a SHA-256 repository, which cannot be deployed yet.`,
        "Use a repository with SHA-1 object names.",
      );
    case "refused-content":
      return failure(
        "repository-access",
        `${cloning} git refuses its content as malformed.`,
        "Run git fsck in the repository, and mend what it names.",
      );
    case "unreachable":
      return failure(
        "repository-unreachable",
        `${cloning} ${host === "" ? "the transfer broke off" : `${host} cannot be reached, or the connection broke`}.`,
        "Check the network and the proxy settings, and try again.",
      );
    case "disk-full":
      return failure("disk-full", `${cloning} the disk is full.`, "Make room, and try again.");
    case "locked":
      return failure(
        "internal",
        `${cloning} another process holds a lock in the local copy.`,
        "Try again; end git processes that still run.",
      );
    case "unknown":
      return failure(
        "repository-unreachable",
        `${cloning} git ended with an error.`,
        "See what git says, and try again.",
      );
  }
}

/** git's own words, line by line, without credentials and without its advice on settings that do not apply here. */
export function wordsOf(stderr: string, secrets: readonly (string | undefined)[]): readonly string[] {
  return withoutSecrets(stderr, secrets)
    .split("\n")
    .map((line) => printable(line.trimEnd()))
    .filter((line) => line !== "" && !/^@+$/.test(line))
    .slice(0, 20);
}

function withoutSecrets(text: string, secrets: readonly (string | undefined)[]): string {
  const forms = secrets
    .filter((secret) => secret !== undefined && secret.length > 2)
    .flatMap((secret) => [secret as string, encodeURIComponent(secret as string)]);
  return forms
    .reduce((rest, form) => rest.replaceAll(form, "****"), text)
    .replace(/(https?:\/\/)[^\s/@'"]*@/gi, "$1****@");
}
