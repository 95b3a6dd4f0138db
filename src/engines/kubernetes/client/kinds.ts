import type { Kind } from "./cluster.ts";

const core = (kind: string, plural: string, namespaced = true): Kind => ({
  apiVersion: "v1",
  kind,
  plural,
  namespaced,
});

const of = (apiVersion: string, kind: string, plural: string, namespaced = true): Kind => ({
  apiVersion,
  kind,
  plural,
  namespaced,
});

/** The resource types that we read or write. */
export const kinds = {
  namespace: core("Namespace", "namespaces", false),
  pod: core("Pod", "pods"),
  service: core("Service", "services"),
  secret: core("Secret", "secrets"),
  configMap: core("ConfigMap", "configmaps"),
  event: core("Event", "events"),
  serviceAccount: core("ServiceAccount", "serviceaccounts"),
  persistentVolumeClaim: core("PersistentVolumeClaim", "persistentvolumeclaims"),
  node: core("Node", "nodes", false),
  deployment: of("apps/v1", "Deployment", "deployments"),
  replicaSet: of("apps/v1", "ReplicaSet", "replicasets"),
  statefulSet: of("apps/v1", "StatefulSet", "statefulsets"),
  daemonSet: of("apps/v1", "DaemonSet", "daemonsets"),
  job: of("batch/v1", "Job", "jobs"),
  cronJob: of("batch/v1", "CronJob", "cronjobs"),
  lease: of("coordination.k8s.io/v1", "Lease", "leases"),
  disruptionBudget: of("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
  ingress: of("networking.k8s.io/v1", "Ingress", "ingresses"),
  ingressClass: of("networking.k8s.io/v1", "IngressClass", "ingressclasses", false),
  storageClass: of("storage.k8s.io/v1", "StorageClass", "storageclasses", false),
  gateway: of("gateway.networking.k8s.io/v1", "Gateway", "gateways"),
  httpRoute: of("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"),
  /** What Traefik takes the prefix from a request with. */
  middleware: of("traefik.io/v1alpha1", "Middleware", "middlewares"),
  role: of("rbac.authorization.k8s.io/v1", "Role", "roles"),
  roleBinding: of("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
  clusterRole: of("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", false),
  clusterRoleBinding: of("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", false),
} as const satisfies Record<string, Kind>;
