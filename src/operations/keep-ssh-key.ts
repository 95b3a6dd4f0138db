import { isSameRepository, isSshAddress } from "../core/repository-address.ts";
import type { DeployRequest } from "../core/run-state.ts";
import { sshKeySecret } from "../core/secret-state.ts";
import type { SecretValue } from "../core/secret-value.ts";
import type { RunReader } from "../ports/run-store.ts";
import type { Secrets } from "../ports/secrets.ts";

/**
 * Keeps a repository's private key as a secret of the group, where later runs, cronjobs and jobs find it. False when it
 * is there already.
 */
export function keepSshKey(group: string, key: SecretValue, secrets: Secrets): boolean {
  const data = { [sshKeySecret.key]: key };
  const kept = secrets.read(group, sshKeySecret.name);
  if (kept?.[sshKeySecret.key]?.reveal() === key.reveal()) return false;
  if (kept === undefined) secrets.create(group, sshKeySecret.name, data);
  else secrets.update(group, sshKeySecret.name, data);
  return true;
}

/** Runs that are looked through for the group of a repository that no deployment is of. */
const recentRuns = 100;

/**
 * The key that is kept for a repository: in the group that was asked for, else in that of a deployment or of a recent run
 * (the first one may have failed) of the same repository. Undefined for what is not reached over ssh.
 */
export function keptSshKey(
  { url, group }: Pick<DeployRequest, "url" | "group">,
  store: RunReader,
  secrets: Secrets,
): SecretValue | undefined {
  if (!isSshAddress(url)) return undefined;
  const groups = new Set([
    group,
    ...store
      .deployments()
      .filter(({ gitUrl }) => isSameRepository(gitUrl, url))
      .map(({ secretsGroup }) => secretsGroup),
    ...store
      .runs({ limit: recentRuns })
      .filter(({ request }) => isSameRepository(request.url, url))
      .map(({ secretsGroup }) => secretsGroup),
  ]);
  for (const one of groups) {
    const key = one === undefined ? undefined : secrets.read(one, sshKeySecret.name)?.[sshKeySecret.key];
    if (key !== undefined) return key;
  }
  return undefined;
}
