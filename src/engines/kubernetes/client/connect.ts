import { applyObject } from "./apply.ts";
import { type Cluster, ClusterError, type Kind, type KubernetesObject, type Place } from "./cluster.ts";
import { createObject } from "./create.ts";
import { createCredentials } from "./credentials.ts";
import { type Access, noCredentials, readKubeconfig } from "./kubeconfig.ts";
import { listAll } from "./list.ts";
import { listAt, textAt } from "./objects.ts";
import { collectionPath, doing, groupOf, groupPath, jsonBody, kindOf, objectPath, placeOf } from "./paths.ts";
import { podLog } from "./pod-log.ts";
import { createRequests, type Requests, type RequestTimes } from "./requests.ts";
import { clusterFailure } from "./to-failure.ts";
import { createTransport } from "./transport.ts";
import { type WatchTimes, watchKind } from "./watch.ts";

export interface ConnectOptions extends Partial<RequestTimes>, Partial<WatchTimes> {
  /** One path, or several as `KUBECONFIG` has them. */
  readonly kubeconfigFiles?: string | undefined;
  /** The kubeconfig's current one by default. */
  readonly context?: string | undefined;
  /** Whether this is a pod, whose own account is used when no kubeconfig is named. */
  readonly inCluster: boolean;
  /** Ours, for the server's log. */
  readonly version: string;
}

const defaultTimes: RequestTimes & WatchTimes = {
  patience: 10 * 60_000,
  firstPatience: 10_000,
  requestTime: 30_000,
  watchTime: 290_000,
  watchSilence: 150_000,
};

/**
 * Reads the credentials and asks the API server for its version, so that a wrong address or an old token is told here.
 * Fails: engine-unavailable, cluster-unreachable, not-allowed.
 */
export async function connectCluster(options: ConnectOptions): Promise<Cluster> {
  const times = { ...defaultTimes, ...defined(options) };
  const access = await accessOf(options);
  const credentials = createCredentials(access);
  const transport = await createTransport(access, credentials, `bodywork/${options.version}`);
  const requests = createRequests(transport, credentials, access.server, times);
  const cluster = clusterOf(access, requests, times);
  try {
    await cluster.version();
    return cluster;
  } catch (error) {
    // That it may not be known is an answer, too.
    if (error instanceof ClusterError && (error.kind === "forbidden" || error.kind === "not-found"))
      return cluster;
    cluster.close();
    throw clusterFailure(error, `use the cluster of context ${access.context}`);
  }
}

async function accessOf({ kubeconfigFiles, context, inCluster }: ConnectOptions): Promise<Access> {
  if (kubeconfigFiles !== undefined) return readKubeconfig(kubeconfigFiles, context);
  if (!inCluster) throw noCredentials("", "there is none");
  const { inClusterServer } = await import("./client-library.ts");
  const server = inClusterServer();
  if (server === undefined) throw noCredentials("(in-cluster)", "the pod has no address of the API server");
  return {
    context: "in-cluster",
    server,
    ca: { file: `${accountFolder}/ca.crt` },
    certificate: undefined,
    key: undefined,
    tlsServerName: undefined,
    skipsVerification: false,
    proxy: undefined,
    user: { tokenFile: `${accountFolder}/token`, impersonation: {} },
  };
}

/** Where Kubernetes puts the account of a pod. */
const accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

function clusterOf(access: Access, requests: Requests, times: RequestTimes & WatchTimes): Cluster {
  const served = new Map<string, Promise<readonly string[]>>();
  let version: Promise<string> | undefined;
  return {
    server: access.server,
    context: access.context,
    async get(kind, place) {
      const found = await requests.reply({
        method: "GET",
        path: objectPath(kind, place),
        doing: doing("get", kind, place.namespace),
      });
      if (!("error" in found)) return found.value as KubernetesObject;
      if (found.error.kind === "not-found") return undefined;
      throw found.error;
    },
    list: async (kind, selection = {}) => (await listAll(requests, kind, selection)).objects,
    create: (object) => createObject(requests, object),
    apply: (object, options = {}) => applyObject(requests, object, options),
    async replace(object) {
      const kind = kindOf(object);
      return (await requests.json({
        method: "PUT",
        path: objectPath(kind, placeOf(object)),
        body: jsonBody(object),
        doing: doing("update", kind, object.metadata.namespace),
      })) as KubernetesObject;
    },
    async merge(kind, place, patch) {
      return (await requests.json({
        method: "PATCH",
        path: objectPath(kind, place),
        body: jsonBody(patch, "application/merge-patch+json"),
        doing: doing("patch", kind, place.namespace),
      })) as KubernetesObject;
    },
    delete: (kind, place, options = {}) => deleteObject(requests, kind, place, options),
    watch: (kind, selection, signal) => watchKind(requests, kind, selection, times, signal),
    logs: (pod, options, signal) => podLog(requests, pod, options, times.patience, signal),
    async has(kind) {
      const path = groupPath(kind);
      const known = served.get(path) ?? servedKinds(requests, path, kind);
      served.set(path, known);
      // What failed may go well the next time.
      known.catch(() => served.delete(path));
      return (await known).includes(kind.plural);
    },
    may: (verb, kind, namespace) => isAllowed(requests, verb, kind, namespace),
    async version() {
      version ??= versionOf(requests);
      version.catch(() => {
        version = undefined;
      });
      return version;
    },
    close: requests.close,
  };
}

async function deleteObject(
  requests: Requests,
  kind: Kind,
  place: Place,
  { foreground = false, uid }: { readonly foreground?: boolean; readonly uid?: string | undefined },
): Promise<boolean> {
  const deleted = await requests.reply({
    method: "DELETE",
    path: objectPath(kind, place),
    body: jsonBody({
      apiVersion: "v1",
      kind: "DeleteOptions",
      propagationPolicy: foreground ? "Foreground" : "Background",
      ...(uid === undefined ? {} : { preconditions: { uid } }),
    }),
    doing: doing("delete", kind, place.namespace),
  });
  if (!("error" in deleted)) return true;
  const { error, repeated } = deleted;
  // Gone, or another of that name: a try before whose answer was lost has done it, or somebody else.
  if (error.kind === "not-found" || (error.kind === "conflict" && uid !== undefined)) return repeated;
  throw error;
}

async function servedKinds(requests: Requests, path: string, kind: Kind): Promise<readonly string[]> {
  const found = await requests.reply({ method: "GET", path, doing: doing("discover", kind, undefined) });
  if (!("error" in found)) {
    return listAt(found.value, "resources").flatMap((resource) => textAt(resource, "name") ?? []);
  }
  if (found.error.kind === "not-found") return [];
  throw found.error;
}

async function isAllowed(
  requests: Requests,
  verb: string,
  kind: Kind,
  namespace: string | undefined,
): Promise<boolean> {
  const review: Kind = {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectAccessReview",
    plural: "selfsubjectaccessreviews",
    namespaced: false,
  };
  const answer = (await requests.json({
    method: "POST",
    path: collectionPath(review, undefined),
    body: jsonBody({
      apiVersion: review.apiVersion,
      kind: review.kind,
      spec: { resourceAttributes: { verb, group: groupOf(kind), resource: kind.plural, namespace } },
    }),
    doing: doing("create", review, undefined),
  })) as { readonly status?: { readonly allowed?: boolean } };
  return answer.status?.allowed === true;
}

async function versionOf(requests: Requests): Promise<string> {
  const found = await requests.json({
    method: "GET",
    path: "/version",
    doing: { verb: "get", resource: "/version" },
  });
  return textAt(found, "gitVersion") ?? "";
}

/** An option that is given as undefined is not given. */
function defined(options: ConnectOptions): Partial<RequestTimes & WatchTimes> {
  const { patience, firstPatience, requestTime, watchTime, watchSilence } = options;
  const given = { patience, firstPatience, requestTime, watchTime, watchSilence };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
