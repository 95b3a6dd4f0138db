/** What `configure-cluster` does with each thing that it wants in a cluster. Pure. */

import { Failure } from "../../core/failure.ts";
import type { KubernetesObject } from "./client/cluster.ts";
import { listAt, textAt } from "./client/objects.ts";

export interface SetupLine {
  readonly level: "info" | "warning";
  readonly text: string;
}

export type SetupStep =
  | { readonly kind: "keep"; readonly lines: readonly SetupLine[] }
  | {
      readonly kind: "create" | "replace";
      readonly object: KubernetesObject;
      readonly lines: readonly SetupLine[];
    };

/** Fails: cluster-refused (what is there is being deleted, or is something else under our name). */
export function setupStep(wanted: KubernetesObject, found: KubernetesObject | undefined): SetupStep {
  const name = shown(wanted);
  if (found === undefined) return { kind: "create", object: wanted, lines: info(`Creating ${name}`) };
  if (found.metadata.deletionTimestamp !== undefined) {
    throw new Failure("cluster-refused", `Cannot configure the cluster: ${name} is being deleted.`, {
      hint: "Wait until it is gone, and run it again.",
    });
  }
  switch (wanted.kind) {
    case "ClusterRole":
    case "Role":
      return mendedRole(wanted, found);
    case "ClusterRoleBinding":
    case "RoleBinding":
      return mendedBinding(wanted, found);
    default:
      return { kind: "keep", lines: [{ level: "warning", text: alreadyThere(wanted) }] };
  }
}

/** Whether a role does not give all the rights that are wanted. */
export function lacksRights(wanted: KubernetesObject, found: KubernetesObject): boolean {
  return missingRules(wanted, found).length > 0;
}

/** What somebody has added stays, and so do the wider rights of the original's. */
function mendedRole(wanted: KubernetesObject, found: KubernetesObject): SetupStep {
  const missing = missingRules(wanted, found);
  if (missing.length === 0) return { kind: "keep", lines: [] };
  const rules = [...listAt(found, "rules"), ...missing];
  const text = `Adding rights to ${shown(wanted)}: ${missing.map(rightsText).join("; ")}`;
  return { kind: "replace", object: { ...found, rules }, lines: info(text) };
}

function mendedBinding(wanted: KubernetesObject, found: KubernetesObject): SetupStep {
  const role = (object: KubernetesObject): string =>
    `${textAt(object, "roleRef", "kind")} ${textAt(object, "roleRef", "name")}`;
  if (role(found) !== role(wanted)) {
    throw new Failure(
      "cluster-refused",
      `Cannot configure the cluster: ${shown(wanted)} gives the rights of ${role(found)}, where it must give those of ${role(wanted)}.`,
      { hint: `No binding can be changed to another role. Delete it: kubectl delete ${deletable(wanted)}` },
    );
  }
  const key = (subject: unknown): string =>
    ["kind", "namespace", "name"].map((field) => textAt(subject, field)).join("/");
  const there = listAt(found, "subjects");
  const missing = listAt(wanted, "subjects").filter((subject) => !there.map(key).includes(key(subject)));
  if (missing.length === 0) return { kind: "keep", lines: [] };
  const accounts = missing.map((subject) => `service-account=${textAt(subject, "name")}`).join(", ");
  return {
    kind: "replace",
    object: { ...found, subjects: [...there, ...missing] },
    lines: info(`Adding ${accounts} to ${shown(wanted)}`),
  };
}

function missingRules(wanted: KubernetesObject, found: KubernetesObject): readonly unknown[] {
  const there = listAt(found, "rules");
  return listAt(wanted, "rules").filter((rule) =>
    texts(rule, "apiGroups").some((group) =>
      texts(rule, "resources").some((resource) =>
        texts(rule, "verbs").some((verb) => !there.some((one) => gives(one, group, resource, verb))),
      ),
    ),
  );
}

function gives(rule: unknown, group: string, resource: string, verb: string): boolean {
  const has = (field: string, value: string): boolean =>
    texts(rule, field).some((one) => one === "*" || one === value);
  // Rights to single objects are no rights to all.
  if (listAt(rule, "resourceNames").length > 0) return false;
  return has("apiGroups", group) && has("resources", resource) && has("verbs", verb);
}

function texts(value: unknown, field: string): readonly string[] {
  return listAt(value, field).filter((text) => typeof text === "string");
}

function rightsText(rule: unknown): string {
  return `${texts(rule, "verbs").join(", ")} ${texts(rule, "resources").join(", ")}`;
}

const shownKinds: Readonly<Record<string, string>> = {
  Namespace: "namespace",
  ServiceAccount: "service-account",
  ClusterRole: "cluster-role",
  ClusterRoleBinding: "cluster-role-binding",
  Role: "role",
  RoleBinding: "role-binding",
};

/** In the original's words: `service-account=NAME in namespace=NS`. */
function shown(object: KubernetesObject): string {
  const { namespace } = object.metadata;
  return `${plainName(object)}${namespace === undefined ? "" : ` in namespace=${namespace}`}`;
}

function alreadyThere(object: KubernetesObject): string {
  const { namespace } = object.metadata;
  return `${plainName(object)} already exists${namespace === undefined ? "" : ` in namespace=${namespace}`}`;
}

function plainName({ kind, metadata }: KubernetesObject): string {
  return `${shownKinds[kind] ?? kind}=${metadata.name}`;
}

function deletable({ kind, metadata }: KubernetesObject): string {
  const namespace = metadata.namespace === undefined ? "" : ` --namespace ${metadata.namespace}`;
  return `${kind.toLowerCase()} ${metadata.name}${namespace}`;
}

function info(text: string): readonly SetupLine[] {
  return [{ level: "info", text }];
}
