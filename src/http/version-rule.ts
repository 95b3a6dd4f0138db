/** What client and server of two machines ask of each other's version: the same numbers up to the last. */

import { Failure } from "../core/failure.ts";

/** With every answer; with the requests of a client that is of a version of its own. */
export const versionHeader = "bodywork-version";

export function worksWith(client: string, server: string): boolean {
  return minorOf(client) === minorOf(server);
}

/** Which of the two is to be updated. `server` names it for people. */
export function versionMismatch(
  server: string,
  versions: { readonly client: string; readonly server: string },
): Failure {
  const older = compareVersions(versions.client, versions.server) < 0 ? "command" : "server";
  return new Failure(
    "version-mismatch",
    `${server} is of version ${versions.server}, and this command of ${versions.client}: they do not work together.`,
    {
      hint:
        older === "command"
          ? `Update the command: npm install --global bodywork@${minorOf(versions.server)}`
          : `Have the server updated to ${minorOf(versions.client)}, or use a command of version ${minorOf(versions.server)}.`,
    },
  );
}

/** Negative when `a` is older; by numbers, so that 4.10.0 is newer than 4.9.0, and 4.0.0 is newer than 4.0.0-rc.1. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [versionNumbers(a), versionNumbers(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** `4.1.0-rc.2` → 4, 1, 0, -1, 2. */
function versionNumbers(version: string): readonly number[] {
  return version.split(/[.-]/).map((part) => (/^\d+$/.test(part) ? Number(part) : -1));
}

/** `4.1.3` → `4.1`. */
function minorOf(version: string): string {
  return version.split(".").slice(0, 2).join(".");
}
