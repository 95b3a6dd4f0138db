import { rmSync } from "node:fs";

import type { FetchTrouble } from "./fetch-trouble.ts";
import { fetchArguments, fetchCommitArguments, forgetArguments, refPrefixes } from "./git-arguments.ts";
import { type GitMachine, runGit } from "./git-command.ts";
import {
  finishReplacing,
  isUsable,
  makeMirror,
  makingPath,
  removeBegunPacks,
  replaceMirror,
} from "./mirror.ts";
import type { Remote, RemoteOutcome } from "./open-remote.ts";

/** What of the remote is wanted besides all branches and tags. */
export type Wanted = { readonly head: true } | { readonly commit: string } | { readonly named: true };

/**
 * Brings a mirror up to date, or makes it. A mirror that cannot be fetched into for no reason that we know is taken for
 * damaged when a new one can be made. The caller holds its lock. Fails with all that a fetch can fail with.
 */
export async function fetchRepository(
  machine: GitMachine,
  mirror: string,
  remote: Remote,
  wanted: Wanted,
): Promise<void> {
  const known = isUsable(mirror) ? await fetchInto(machine, mirror, remote, wanted) : undefined;
  if (known?.ok !== true) {
    if (known !== undefined && !mayBeTheMirrors(known.trouble, remote)) throw known.failure;
    const anew = await fetchAnew(machine, mirror, remote, wanted);
    if (!anew.ok) throw (known ?? anew).failure;
  }
  await finishReplacing(machine, mirror);
}

/** Troubles that a remote can have as well as a damaged mirror. */
function mayBeTheMirrors(trouble: FetchTrouble, remote: Remote): boolean {
  if (trouble === "unreachable") return remote.url.protocol === "file";
  return trouble === "unknown" || trouble === "refused-content" || trouble === "object-format";
}

async function fetchAnew(
  machine: GitMachine,
  mirror: string,
  remote: Remote,
  wanted: Wanted,
): Promise<RemoteOutcome> {
  const making = makingPath(mirror);
  try {
    makeMirror(making, remote.url.shown);
    const outcome = await fetchInto(machine, making, remote, wanted);
    if (outcome.ok) replaceMirror(mirror, making);
    return outcome;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}

async function fetchInto(
  machine: GitMachine,
  mirror: string,
  remote: Remote,
  wanted: Wanted,
): Promise<RemoteOutcome> {
  removeBegunPacks(mirror);
  const outcome = await remote.run(mirror, fetchArguments(remote.url, "head" in wanted));
  if (!outcome.ok) {
    // A remote without HEAD is one without a commit there; its branches are wanted all the same, to name them.
    if (outcome.trouble !== "no-such-ref" || !("head" in wanted)) return outcome;
    await runGit(machine, { gitDir: mirror, args: forgetArguments(refPrefixes.head) });
    return remote.run(mirror, fetchArguments(remote.url, false));
  }
  if (!("commit" in wanted)) return outcome;
  // Many servers hand out any commit, some none that no branch has; whether it is here now is asked of the mirror.
  const single = await remote.run(mirror, fetchCommitArguments(remote.url, wanted.commit));
  return single.ok || single.trouble !== "no-such-ref" ? single : outcome;
}
