import { Failure } from "../../../core/failure.ts";
import type { SecretReference, SecretSummary } from "../../../core/secret-state.ts";
import type { SecretData, SecretValue } from "../../../core/secret-value.ts";
import type { SecretReader, Secrets } from "../../../ports/secrets.ts";
import type { KubernetesObject } from "../client/cluster.ts";
import { clearData, type GroupSecret, rawDataOf, summaryOf } from "./group-secret.ts";
import { isCopy } from "./replicate.ts";
import type { SecretAccess } from "./secret-access.ts";

/**
 * The port of secrets over what was read last. What is changed here shows at once, and is written to the cluster behind
 * the caller, in order.
 */
export interface SecretSnapshot extends Secrets, SecretReader {
  /** What the cluster has now, of one group or of all. */
  replaceGroups(secrets: readonly GroupSecret[], group: string | undefined): void;
  /**
   * All Secrets of a pipeline's namespace: what a person made there serves its stages, too. `secrets` shows them as of
   * whatever group is asked for, with version 0: nobody counts their changes.
   */
  replaceNamespace(objects: readonly KubernetesObject[]): void;
  /** All changes are in the cluster. Fails: as the first that could not be written. */
  settled(): Promise<void>;
}

interface Kept {
  readonly summary: SecretSummary;
  readonly data: SecretData;
}

export function createSecretSnapshot(access: SecretAccess, now: () => Date): SecretSnapshot {
  let kept: readonly Kept[] = [];
  /** Of the pipeline's namespace, by name. */
  let byHand: readonly Kept[] = [];
  let copies: readonly Kept[] = [];
  let written: Promise<unknown> = Promise.resolve();
  let problem: { readonly error: unknown } | undefined;

  const find = (group: string, name: string): Kept | undefined =>
    kept.find(({ summary }) => summary.group === group && summary.name === name);

  const keep = (summary: SecretSummary, data: SecretData): SecretSummary => {
    const others = kept.filter(
      (other) => other.summary.group !== summary.group || other.summary.name !== summary.name,
    );
    kept = [...others, { summary: { ...summary, keys: Object.keys(data).toSorted() }, data }].sort(
      compareNames,
    );
    return summary;
  };

  const write = (change: () => Promise<unknown>): void => {
    written = written.then(change).catch((error: unknown) => {
      problem ??= { error };
    });
  };

  return {
    create(group, name, data) {
      if (find(group, name) !== undefined) {
        throw new Failure(
          "already-exists",
          `Cannot create secret=${name} in group=${group} as it already exists.`,
        );
      }
      // Made by somebody else meanwhile, it gets these keys.
      write(async () => {
        if ((await access.find(group, name)) === undefined) await access.create(group, name, data);
        else await access.update(group, name, data);
      });
      const at = now().toISOString();
      return keep(
        { group, name, version: 1, keys: Object.keys(data).toSorted(), createdAt: at, updatedAt: at },
        data,
      );
    },
    update(group, name, data) {
      const before = find(group, name);
      if (before === undefined) {
        throw new Failure("not-found", `Could not find secret=${name} in group=${group}`);
      }
      write(() => access.update(group, name, data));
      const { summary } = before;
      const next = { ...before.data, ...data };
      const keys = Object.keys(next).toSorted();
      return keep({ ...summary, version: summary.version + 1, keys, updatedAt: now().toISOString() }, next);
    },
    remove(group, name) {
      const found = find(group, name);
      if (found === undefined) return false;
      kept = kept.filter((other) => other !== found);
      write(() => access.remove(group, name));
      return true;
    },
    read: (group, name) => find(group, name)?.data,
    reveal: (reference) =>
      revealed(reference, [find(reference.group, reference.name), ...named(reference.name)]),
    // A Secret has its newest version only: there is nothing to sweep.
    sweep() {},
    secrets({ group, name }) {
      const ofGroups = kept
        .map(({ summary }) => summary)
        .filter(
          (summary) => (group ?? summary.group) === summary.group && (name ?? summary.name) === summary.name,
        );
      if (group === undefined) return ofGroups;
      const names = new Set(ofGroups.map((summary) => summary.name));
      const others = byHand
        .map(({ summary }) => ({ ...summary, group, version: 0 }))
        .filter((summary) => !names.has(summary.name) && (name ?? summary.name) === summary.name);
      return [...ofGroups, ...others];
    },
    replaceGroups(secrets, group) {
      const others = group === undefined ? [] : kept.filter(({ summary }) => summary.group !== group);
      const read = secrets.map(({ summary, data }) => ({ summary, data: clearData(data) }));
      kept = [...others, ...read].sort(compareNames);
    },
    replaceNamespace(objects) {
      const all = objects.map((object) => ({ object, ...keptOf(object) }));
      copies = all.filter(({ object }) => isCopy(object));
      byHand = all.filter(({ object }) => !isCopy(object));
    },
    async settled() {
      await written;
      if (problem !== undefined) throw problem.error;
    },
  };

  /** In the pipeline's namespace: where a source has gone, its copy is what runs. */
  function named(name: string): readonly (Kept | undefined)[] {
    return [...byHand, ...copies].filter(({ summary }) => summary.name === name);
  }
}

function keptOf(object: KubernetesObject): Kept {
  return { summary: summaryOf(object, "", object.metadata.name), data: clearData(rawDataOf(object)) };
}

/** Whatever version is asked for: pods get the newest one when they start. */
function revealed(
  { group, name, version, key }: SecretReference,
  candidates: readonly (Kept | undefined)[],
): SecretValue {
  for (const candidate of candidates) {
    const value =
      candidate !== undefined && Object.hasOwn(candidate.data, key) ? candidate.data[key] : undefined;
    if (value !== undefined) return value;
  }
  throw new Failure(
    "secret-missing",
    `Cannot find the key "${key}" in version ${version} of the secret "${name}" in group "${group}".`,
    { hint: "Create or update the secret, and deploy again." },
  );
}

function compareNames({ summary: one }: Kept, { summary: other }: Kept): number {
  if (one.group !== other.group) return one.group < other.group ? -1 : 1;
  return one.name < other.name ? -1 : 1;
}
