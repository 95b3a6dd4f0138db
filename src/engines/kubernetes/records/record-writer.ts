import { Failure } from "../../../core/failure.ts";
import type { Release } from "../../../core/run-state.ts";
import { type Cluster, ClusterError, type KubernetesObject } from "../client/cluster.ts";
import { kinds } from "../client/kinds.ts";
import { afterClash, isCommit, madeBefore, otherRelease } from "./after-clash.ts";
import {
  type DeploymentContent,
  describe,
  nameOf,
  packRecord,
  type RecordContent,
  releaseName,
  unpackRecord,
} from "./record-content.ts";
import { recordsFailure } from "./records-failure.ts";

/** A record as it was last seen in the cluster. */
export interface SeenRecord {
  readonly version: string | undefined;
  readonly digest: string;
  readonly content: RecordContent;
}

/** Writes and removes single records, and knows what was last seen of each. */
export interface RecordWriter {
  readonly seen: Map<string, SeenRecord>;
  /** Returns what is there now; undefined when it was left away. Fails: superseded, cluster-refused, … */
  put(content: RecordContent): Promise<RecordContent | undefined>;
  remove(name: string): Promise<void>;
  /** Fails: store-damaged (it is there and can't be read). */
  read(name: string): Promise<SeenRecord | undefined>;
}

export function createRecordWriter(cluster: Cluster, namespace: string): RecordWriter {
  const seen = new Map<string, SeenRecord>();

  return {
    seen,
    async put(content) {
      const name = nameOf(content);
      let wanted: RecordContent = content;
      let known = seen.get(name);
      if (wanted.kind === "deployment") await refuseSecondRelease(wanted, deploymentOf(known));
      for (;;) {
        const { secret, digest } = await packRecord(wanted, namespace);
        if (known?.digest === digest) break;
        const written = await write(secret, known, wanted);
        if (written !== undefined) {
          known = { version: written.metadata.resourceVersion, digest, content: wanted };
          break;
        }
        const found = await read(name);
        const isOurs = found?.digest === digest; // An answer was lost.
        const isUntouched = found !== undefined && found.digest === known?.digest;
        const next: RecordContent | undefined =
          isOurs || isUntouched
            ? wanted
            : afterClash({ wanted, known: known?.content, found: found?.content });
        known = found;
        if (next === undefined) {
          seen.delete(name);
          return undefined;
        }
        wanted = next;
      }
      seen.set(name, known);
      return wanted;
    },
    async remove(name) {
      await asked(`remove the record ${name}`, () => cluster.delete(kinds.secret, { namespace, name }));
      seen.delete(name);
    },
    read,
  };

  /** Undefined when something else is there than was thought. */
  async function write(
    secret: KubernetesObject,
    known: SeenRecord | undefined,
    content: RecordContent,
  ): Promise<KubernetesObject | undefined> {
    try {
      if (known === undefined) return await cluster.create(secret);
      const metadata = { ...secret.metadata, ...versionOf(known) };
      return await cluster.replace({ ...secret, metadata });
    } catch (error) {
      const isClash =
        error instanceof ClusterError &&
        (error.kind === "already-exists" ||
          error.kind === "conflict" ||
          (error.kind === "not-found" && known !== undefined));
      if (isClash) return undefined;
      throw recordsFailure(error, `record ${describe(content)}`, namespace);
    }
  }

  async function read(name: string): Promise<SeenRecord | undefined> {
    const secret = await asked(`read the record ${name}`, () =>
      cluster.get(kinds.secret, { namespace, name }),
    );
    if (secret === undefined) return undefined;
    const record = unpackRecord(secret);
    if (record.kind === "unreadable") {
      throw new Failure(
        "store-damaged",
        `Cannot use Secret ${name} in namespace ${namespace} as a record: ${record.why}.`,
        { hint: `If nobody needs it, remove it: kubectl delete secret ${name} --namespace ${namespace}` },
      );
    }
    const { content, digest } = record;
    return { version: secret.metadata.resourceVersion, digest, content };
  }

  /**
   * A number is one run's. Of two that make it at once the deployment's resourceVersion decides; whoever
   * comes later finds what the first has written. Fails: superseded.
   */
  async function refuseSecondRelease(
    wanted: DeploymentContent,
    known: DeploymentContent | undefined,
  ): Promise<void> {
    if (!isCommit(wanted, known)) return;
    const isKnown = (release: Release): boolean =>
      known?.releases.some(({ number, runId }) => number === release.number && runId === release.runId) ??
      false;
    const other = otherRelease(wanted.releases, known?.releases ?? []);
    if (other !== undefined) throw madeBefore(other);
    for (const release of wanted.releases.filter((made) => !isKnown(made))) {
      const found = await read(releaseName(release.namespace, release.deployment, release.number));
      if (found?.content.kind !== "release" || found.content.release.runId === release.runId) continue;
      throw madeBefore(found.content.release);
    }
  }

  async function asked<Answer>(doing: string, ask: () => Promise<Answer>): Promise<Answer> {
    try {
      return await ask();
    } catch (error) {
      throw recordsFailure(error, doing, namespace);
    }
  }
}

function deploymentOf(known: SeenRecord | undefined): DeploymentContent | undefined {
  return known?.content.kind === "deployment" ? known.content : undefined;
}

function versionOf({ version }: SeenRecord): { readonly resourceVersion?: string } {
  return version === undefined ? {} : { resourceVersion: version };
}
