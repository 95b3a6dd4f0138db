import { writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import { textIfThere } from "../lib/read-if-there.ts";
import type { GitCall } from "./git-command.ts";
import { forgeKnownHosts } from "./host-keys.ts";
import type { RepositoryUrl } from "./repository-url.ts";
import type { Credentials } from "./users-git.ts";

/** How one remote is reached. */
export interface RemoteAccess {
  /** Of the server that is called; only for it. */
  readonly credentials: Credentials | undefined;
  /** Text of a private key, for ssh. */
  readonly sshKey: string | undefined;
  /** Lines of hosts' keys that the user has accepted, for ssh. */
  readonly acceptedHostsFile: string;
  readonly homeFolder: string | undefined;
  /** The user's settings of proxies and certificates. */
  readonly httpSettings: readonly (readonly [string, string])[];
  /** Repositories of other users that the user has declared to be safe. */
  readonly safeDirectories: readonly string[];
}

/**
 * What git must be given to reach the remote. Files that it needs are written into `callFolder`, which is the working
 * folder of the call: so they have fixed names, and no value of a user is ever part of a command line of a shell.
 */
export function reachRemote(url: RepositoryUrl, access: RemoteAccess, callFolder: string): Partial<GitCall> {
  // curl looks for ~/.netrc, and finds nothing else of the user's there: git's own configuration stays off.
  const home = homeFolderOf(access);
  const base = { cwd: callFolder, variables: { HOME: home, GIT_ALLOW_PROTOCOL: url.protocol } };
  switch (url.protocol) {
    case "file":
      return { ...base, variables: { ...base.variables, ...safeDirectories(access, callFolder) } };
    case "ssh":
      return { ...base, variables: { ...base.variables, ...sshVariables(access, callFolder) } };
    case "http":
    case "https":
      return {
        ...base,
        config: access.httpSettings,
        variables: {
          ...base.variables,
          // The usual redirect of a plain address is to the safe one; never the other way.
          ...(url.protocol === "http" ? { GIT_ALLOW_PROTOCOL: "http:https" } : {}),
          ...credentialVariables(`${url.protocol}://`, url.host, access.credentials, callFolder),
        },
      };
  }
}

/** Answers git's two questions about one server and no other: a redirect elsewhere gets nothing. */
const askpassScript = `#!/bin/sh
case "$1" in
"Username for '$BODYWORK_GIT_SCHEME$BODYWORK_GIT_HOST': ") printf '%s\\n' "$BODYWORK_GIT_USERNAME" ;;
"Password for '$BODYWORK_GIT_SCHEME"*"@$BODYWORK_GIT_HOST': ") printf '%s\\n' "$BODYWORK_GIT_PASSWORD" ;;
*) exit 1 ;;
esac
`;

function credentialVariables(
  scheme: string,
  host: string,
  credentials: Credentials | undefined,
  callFolder: string,
): Record<string, string> {
  if (credentials === undefined) return {};
  const script = join(callFolder, "askpass");
  writeFileSync(script, askpassScript, { mode: 0o700 });
  return {
    GIT_ASKPASS: script,
    BODYWORK_GIT_SCHEME: scheme,
    BODYWORK_GIT_HOST: host,
    BODYWORK_GIT_USERNAME: credentials.username,
    BODYWORK_GIT_PASSWORD: credentials.password,
  };
}

/** Only options with fixed values; the rest of the user's ssh configuration (aliases, jump hosts) counts as usual. */
const sshCommand = [
  "ssh",
  "-oBatchMode=yes",
  "-oStrictHostKeyChecking=yes",
  "-oUserKnownHostsFile=known_hosts",
  "-oUpdateHostKeys=no",
  // A shared connection would go on after the call, and hold its output open.
  "-oControlMaster=no",
  "-oControlPath=none",
  "-oPermitLocalCommand=no",
  "-oClearAllForwardings=yes",
  "-oForwardAgent=no",
  "-oForwardX11=no",
  "-oConnectTimeout=30",
  "-oServerAliveInterval=20",
  "-oServerAliveCountMax=3",
].join(" ");

function sshVariables(access: RemoteAccess, callFolder: string): Record<string, string> {
  const knownHosts = [
    ...forgeKnownHosts,
    textIfThere(access.acceptedHostsFile) ?? "", // None was accepted yet.
    textIfThere(join(homeFolderOf(access), ".ssh", "known_hosts")) ?? "",
  ];
  writeFileSync(join(callFolder, "known_hosts"), `${knownHosts.join("\n")}\n`, { mode: 0o600 });
  if (access.sshKey === undefined) return { GIT_SSH_COMMAND: sshCommand, GIT_SSH_VARIANT: "ssh" };
  // ssh refuses a key whose last line has no end, or that was saved with the line ends of Windows.
  const key = `${access.sshKey.replace(/\r\n?/g, "\n").trim()}\n`;
  writeFileSync(join(callFolder, "key"), key, { mode: 0o600 });
  return { GIT_SSH_COMMAND: `${sshCommand} -oIdentitiesOnly=yes -i key`, GIT_SSH_VARIANT: "ssh" };
}

/** As a file, for the process that reads the other repository gets no configuration by variables. */
function safeDirectories(access: RemoteAccess, callFolder: string): Record<string, string> {
  if (access.safeDirectories.length === 0) return {};
  const file = join(callFolder, "gitconfig");
  const lines = access.safeDirectories.map(
    (path) => `\tdirectory = "${path.replace(/["\\]/g, "\\$&").replace(/\n/g, "\\n")}"`,
  );
  writeFileSync(file, `[safe]\n${lines.join("\n")}\n`, { mode: 0o600 });
  return { GIT_CONFIG_GLOBAL: file };
}

function homeFolderOf(access: RemoteAccess): string {
  return access.homeFolder ?? homedir();
}
