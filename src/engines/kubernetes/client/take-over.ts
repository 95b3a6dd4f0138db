import { fieldManager, labels, originalManagers } from "../vocabulary.ts";
import type { ClusterError, KubernetesObject, ManagedFields } from "./cluster.ts";
import { type Fields, fieldsOf } from "./objects.ts";

/** Who owns fields that an apply was refused for, as its causes name them: `.spec.replicas: conflict with "kubectl" …`. */
export function conflictOwners(error: ClusterError): readonly string[] {
  const owners = error.causes.flatMap((cause) => /conflict with "([^"]*)"/.exec(cause)?.[1] ?? []);
  return [...new Set(owners)];
}

/** Whether nobody but the original's client is in the way. */
export function mayTakeOver(live: KubernetesObject, error: ClusterError): boolean {
  const owners = conflictOwners(error);
  return (
    live.metadata.labels?.[labels.app] === labels.appValue &&
    owners.length > 0 &&
    owners.every((owner) => originalManagers.includes(owner))
  );
}

/**
 * The managedFields in which all that the original's client has set is ours, as if we had applied it. What our next apply
 * leaves out of it goes, as the original's own update would have done. The same is what client-go's csaupgrade makes.
 */
export function takenOver(fields: readonly ManagedFields[]): readonly ManagedFields[] {
  const ours = fields.find(isOurs);
  const version = ours?.apiVersion ?? fields.find(isOriginals)?.apiVersion;
  const theirs = fields.filter((entry) => isOriginals(entry) && entry.apiVersion === version);
  const [first] = theirs;
  if (first === undefined) return fields;
  const owned = [...(ours === undefined ? [] : [ours]), ...theirs];
  const entry: ManagedFields = {
    ...(ours ?? first),
    manager: fieldManager,
    operation: "Apply",
    fieldsV1: owned.map(({ fieldsV1 }) => fieldsOf(fieldsV1)).reduce(union),
  };
  return [entry, ...fields.filter((other) => !owned.includes(other))];
}

function isOurs({ manager, operation, subresource }: ManagedFields): boolean {
  return manager === fieldManager && operation === "Apply" && !subresource;
}

function isOriginals({ manager, operation, subresource }: ManagedFields): boolean {
  return originalManagers.includes(manager) && operation === "Update" && !subresource;
}

/** Sets of fields are trees of names. */
function union(left: Fields, right: Fields): Fields {
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return Object.fromEntries(
    [...names].map((name) => [name, union(fieldsOf(left[name]), fieldsOf(right[name]))]),
  );
}
