import type { Kind, KubernetesObject } from "../client/cluster.ts";
import { kinds } from "../client/kinds.ts";
import { groupOf } from "../client/paths.ts";
import {
  annotations,
  labels,
  managementNamespace,
  stageAccount,
  workflowAccount,
  workflowRoleBinding,
} from "../vocabulary.ts";

export interface ClusterSetup {
  /** Everything is done inside this namespace, which is there already: no right goes beyond it. */
  readonly singleNamespace?: string | undefined;
}

/** What controllers in the cluster (cronjobs, `--async`) need: an account, and the rights to do what a person would do. */
export function clusterObjects({ singleNamespace }: ClusterSetup = {}): readonly KubernetesObject[] {
  if (singleNamespace === undefined) {
    return [
      namespaceObject(managementNamespace, {}),
      account(workflowAccount, managementNamespace),
      {
        ...head(kinds.clusterRole, workflowAccount),
        rules: [...clusterRules, ...rulesInNamespace],
      },
      {
        ...head(kinds.clusterRoleBinding, workflowRoleBinding),
        roleRef: roleRef(kinds.clusterRole, workflowAccount),
        subjects: [subject(workflowAccount, managementNamespace)],
      },
    ];
  }
  return [
    account(workflowAccount, singleNamespace),
    { ...head(kinds.role, workflowAccount, singleNamespace), rules: rulesInNamespace },
    binding(workflowAccount, singleNamespace),
  ];
}

export interface PipelineNamespace {
  /** As it is called in the cluster. */
  readonly namespace: string;
  /** The pipeline that it is made for. */
  readonly deployment: string;
  /** False when it is there already: it is not ours then, and nothing of it is changed. */
  readonly create: boolean;
}

/** What a pipeline's stages need there. As in the original, they may read secrets and configurations. */
export function namespaceObjects({
  namespace,
  deployment,
  create,
}: PipelineNamespace): readonly KubernetesObject[] {
  return [
    ...(create ? [namespaceObject(namespace, { [annotations.createdFor]: deployment })] : []),
    account(stageAccount, namespace),
    {
      ...head(kinds.role, stageAccount, namespace),
      rules: [{ apiGroups: [""], resources: ["secrets", "configmaps"], verbs: ["get", "list"] }],
    },
    binding(stageAccount, namespace),
  ];
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

const look = ["get", "list", "watch"];
const keep = [...look, "create", "update", "patch", "delete"];

/**
 * With those below all that the original's role has, spelled out, so that its own images work under this account, too.
 * Each resource is one that our client reads or writes.
 */
const clusterRules: readonly Rule[] = [
  rule("", ["namespaces"], [...look, "create", "patch", "delete"]),
  rule("", ["nodes"], look),
  rule("networking.k8s.io", ["ingressclasses"], look),
  rule("storage.k8s.io", ["storageclasses"], look),
  rule("rbac.authorization.k8s.io", ["clusterrolebindings"], ["get", "list", "create"]),
];

const rulesInNamespace: readonly Rule[] = [
  rule("", ["pods", "events"], look),
  rule("", ["pods/log"], ["get"]),
  rule("", ["services", "secrets", "configmaps", "persistentvolumeclaims"], keep),
  rule("", ["serviceaccounts"], [...look, "create", "patch", "delete"]),
  rule("rbac.authorization.k8s.io", ["roles", "rolebindings"], [...look, "create", "patch", "delete"]),
  rule("apps", ["deployments"], keep),
  rule("apps", ["replicasets", "statefulsets", "daemonsets"], look),
  rule("batch", ["jobs", "cronjobs"], keep),
  rule("coordination.k8s.io", ["leases"], keep),
  rule("policy", ["poddisruptionbudgets"], keep),
  rule("networking.k8s.io", ["ingresses"], keep),
  rule("gateway.networking.k8s.io", ["httproutes"], keep),
  rule("gateway.networking.k8s.io", ["gateways"], look),
  rule(groupOf(kinds.middleware), [kinds.middleware.plural], keep),
];

function rule(group: string, resources: readonly string[], verbs: readonly string[]): Rule {
  return { apiGroups: [group], resources, verbs };
}

function namespaceObject(name: string, about: Readonly<Record<string, string>>): KubernetesObject {
  const { metadata, ...rest } = head(kinds.namespace, name);
  return { ...rest, metadata: { ...metadata, annotations: about } };
}

function account(name: string, namespace: string): KubernetesObject {
  return head(kinds.serviceAccount, name, namespace);
}

/** Of a role to the account of the same name, in its namespace. */
function binding(name: string, namespace: string): KubernetesObject {
  return {
    ...head(kinds.roleBinding, name, namespace),
    roleRef: roleRef(kinds.role, name),
    subjects: [subject(name, namespace)],
  };
}

function roleRef(kind: Kind, name: string): Readonly<Record<string, string>> {
  return { apiGroup: groupOf(kind), kind: kind.kind, name };
}

function subject(name: string, namespace: string): Readonly<Record<string, string>> {
  return { kind: "ServiceAccount", name, namespace };
}

function head({ apiVersion, kind }: Kind, name: string, namespace?: string): KubernetesObject {
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { [labels.app]: labels.appValue, [labels.managedBy]: labels.appValue },
    },
  };
}
