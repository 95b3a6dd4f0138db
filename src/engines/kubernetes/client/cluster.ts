/**
 * The API server as the rest of the engine sees it. One file (connect.ts) knows the client library; all others, and the
 * tests' scripted server, know only this. What goes over the wire is what Kubernetes documents: nothing is renamed.
 */

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMetadata;
  readonly [field: string]: unknown;
}

export interface ObjectMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly ownerReferences?: readonly Readonly<Record<string, unknown>>[];
  readonly finalizers?: readonly string[];
  readonly managedFields?: readonly ManagedFields[];
}

export interface ManagedFields {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly subresource?: string;
  readonly [field: string]: unknown;
}

/** A resource type; `kinds.ts` has those that we use. */
export interface Kind {
  readonly apiVersion: string;
  readonly kind: string;
  /** As in the URL: `deployments`. */
  readonly plural: string;
  readonly namespaced: boolean;
}

export interface Place {
  readonly namespace?: string | undefined;
  readonly name: string;
}

export interface Selection {
  /** All namespaces when undefined. */
  readonly namespace?: string | undefined;
  /** `app=bodywork,stage=train`. */
  readonly labels?: string | undefined;
  /** `metadata.name=train`. */
  readonly fields?: string | undefined;
}

/** What a watch tells. `listed` comes first, and again whenever events may have been missed: it replaces all before it. */
export type WatchEvent =
  | { readonly type: "listed"; readonly objects: readonly KubernetesObject[] }
  | { readonly type: "changed" | "gone"; readonly object: KubernetesObject };

export interface LogOptions {
  readonly container?: string | undefined;
  readonly follow: boolean;
  readonly tail?: number | undefined;
  /** Of the container before its last restart. */
  readonly previous?: boolean | undefined;
}

/**
 * All calls answer 429, 503 and broken connections by trying again (Retry-After, at most 60 s, with jitter; while the
 * signal or the call's own patience lasts), and throw a ClusterError otherwise.
 */
export interface Cluster {
  /** `https://10.0.0.1:6443`, for messages. */
  readonly server: string;
  /** What the kubeconfig's context calls itself; `in-cluster` inside. */
  readonly context: string;
  get(kind: Kind, place: Place): Promise<KubernetesObject | undefined>;
  /** In pages; begun anew when the list is too old to be continued (410). */
  list(kind: Kind, selection?: Selection): Promise<readonly KubernetesObject[]>;
  /** Fails: already-exists. */
  create(object: KubernetesObject): Promise<KubernetesObject>;
  /**
   * Server-side apply as field manager `bodywork`, never forced. Fields that the original's client owns on an object with
   * its labels are taken over first, which `onTakeOver` is told. Fails: conflict, naming the owner and the fields.
   */
  apply(
    object: KubernetesObject,
    options?: { readonly dryRun?: boolean; readonly onTakeOver?: (manager: string) => void },
  ): Promise<KubernetesObject>;
  /** The whole object; with a resourceVersion only if it is still that one. Fails: conflict, not-found. */
  replace(object: KubernetesObject): Promise<KubernetesObject>;
  /** RFC 7386 merge patch. Fails: not-found. */
  merge(kind: Kind, place: Place, patch: Readonly<Record<string, unknown>>): Promise<KubernetesObject>;
  /** False when there was none. Dependents go in the background unless `foreground`. `uid`: only if it is still that one. */
  delete(
    kind: Kind,
    place: Place,
    options?: { readonly foreground?: boolean; readonly uid?: string | undefined },
  ): Promise<boolean>;
  /** Until the signal aborts; survives 410, ended and dead connections by listing anew. */
  watch(kind: Kind, selection: Selection, signal: AbortSignal): AsyncIterable<WatchEvent>;
  /** Text as it comes. Ends when the container has ended, or the signal aborts. A broken connection goes on where it was. */
  logs(pod: Required<Place>, options: LogOptions, signal: AbortSignal): AsyncIterable<string>;
  /** Whether the cluster serves this kind. */
  has(kind: Kind): Promise<boolean>;
  /** Whether we may do it (SelfSubjectAccessReview). */
  may(verb: string, kind: Kind, namespace?: string): Promise<boolean>;
  /** `v1.34.4`. */
  version(): Promise<string>;
  close(): void;
}

export type ClusterErrorKind =
  | "unreachable"
  | "unauthorized"
  | "forbidden"
  | "not-found"
  | "already-exists"
  | "conflict"
  | "gone"
  | "invalid"
  | "too-large"
  | "refused";

/** What the API server (or the way to it) answered. `toFailure` in connect.ts's neighbour makes it one for people. */
export class ClusterError extends Error {
  override readonly name = "ClusterError";
  readonly kind: ClusterErrorKind;
  readonly status: number | undefined;
  /** One line each, of `details.causes`: the fields in conflict, the values that are invalid. */
  readonly causes: readonly string[];

  constructor(
    kind: ClusterErrorKind,
    message: string,
    more: { status?: number | undefined; causes?: readonly string[]; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.kind = kind;
    this.status = more.status;
    this.causes = more.causes ?? [];
  }
}
