import { createHash } from "node:crypto";
import { appendFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

import { Failure } from "../core/failure.ts";
import { runCommand } from "../lib/run-command.ts";
import type { GitMachine } from "./git-command.ts";
import type { SshUrl } from "./repository-url.ts";

/** A key that a host has shown. */
interface HostKey {
  /** A line of a `known_hosts` file. */
  readonly line: string;
  /** `ssh-ed25519`, … */
  readonly type: string;
  /** `SHA256:…`, as ssh-keygen and the forges write it. */
  readonly fingerprint: string;
}

/**
 * Asks the host for its keys and keeps the one whose fingerprint the user accepts. Fails: host-key, which shows the
 * fingerprints and the option that accepts one when the user has accepted none, and warns when none is the accepted.
 */
export async function acceptHostKey(
  machine: GitMachine,
  url: SshUrl,
  options: {
    /** `SHA256:…`; anything else asks to be told. */
    readonly accepted: string | undefined;
    readonly acceptedHostsFile: string;
    readonly words: readonly string[];
    readonly signal: AbortSignal | undefined;
  },
): Promise<void> {
  const keys = await scanHostKeys(machine, url, options.signal);
  const shown = keys.map(({ type, fingerprint }) => `${fingerprint} (${type})`);
  const { accepted } = options;
  if (accepted === undefined || !accepted.startsWith("SHA256:")) {
    const [preferred] = keys;
    throw new Failure(
      "host-key",
      `Git clone failed - cannot fetch ${url.shown}: the SSH host key of ${url.host} is not known.`,
      preferred === undefined
        ? {
            details: options.words,
            hint: `ssh-keyscan got no key of ${url.host}. Add the key that it publishes to ~/.ssh/known_hosts.`,
          }
        : {
            details: [`${url.host} shows:`, ...shown],
            hint: `Compare with what ${url.host} publishes. If it is the same: --accept-host-key ${preferred.fingerprint}`,
          },
    );
  }
  const key = keys.find(({ fingerprint }) => fingerprint === accepted.replace(/=+$/, ""));
  if (key === undefined) {
    throw new Failure(
      "host-key",
      `SECURITY ALERT! SSH Fingerprint received from server does not match the fingerprint for ${url.host}.`,
      {
        details: [
          `accepted: ${accepted}`,
          ...(shown.length === 0 ? ["shown: none"] : shown.map((one) => `shown: ${one}`)),
        ],
        hint: `Somebody may be posing as ${url.host}. Compare with the fingerprints that it publishes.`,
      },
    );
  }
  mkdirSync(dirname(options.acceptedHostsFile), { recursive: true, mode: 0o700 });
  appendFileSync(options.acceptedHostsFile, `${key.line}\n`, { mode: 0o600 });
}

/** `SHA256:…` of the base64 text of a public key. */
export function fingerprintOf(base64: string): string {
  const digest = createHash("sha256").update(Buffer.from(base64, "base64")).digest("base64");
  return `SHA256:${digest.replace(/=+$/, "")}`;
}

/** The strongest type first. */
const typesInOrder = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ssh-rsa",
];

async function scanHostKeys(
  machine: GitMachine,
  url: SshUrl,
  signal: AbortSignal | undefined,
): Promise<readonly HostKey[]> {
  const options = {
    env: { ...machine.environment, LC_ALL: "C" },
    cwd: machine.folder,
    timeout: 30_000,
    ...(signal === undefined ? {} : { signal }),
  };
  // What the user's ssh configuration makes of the name: an alias, another port.
  const asked = await runCommand(
    "ssh",
    ["-G", ...(url.port === undefined ? [] : ["-p", String(url.port)]), "--", url.host],
    options,
  );
  const setting = (name: string): string | undefined =>
    new RegExp(`^${name} (.+)$`, "m").exec(asked.stdout)?.[1];
  const host = setting("hostname") ?? url.host;
  const port = setting("port") ?? String(url.port ?? 22);
  const name = setting("hostkeyalias") ?? (port === "22" ? host : `[${host}]:${port}`);
  const scanned = await runCommand("ssh-keyscan", ["-T", "10", "-p", port, "--", host], options);
  return scanned.stdout
    .split("\n")
    .flatMap((line): HostKey[] => {
      const [, type, base64] = /^[^#\s]\S* (\S+) ([A-Za-z0-9+/=]+)$/.exec(line.trim()) ?? [];
      if (type === undefined || base64 === undefined || !typesInOrder.includes(type)) return [];
      return [{ line: `${name} ${type} ${base64}`, type, fingerprint: fingerprintOf(base64) }];
    })
    .sort((a, b) => typesInOrder.indexOf(a.type) - typesInOrder.indexOf(b.type));
}
