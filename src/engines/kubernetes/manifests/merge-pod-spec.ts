export type PodSpec = Readonly<Record<string, unknown>>;

/**
 * Further fields put over a pod's spec, as `kubectl patch` does it: maps field by field, lists of things that have a name
 * (or whatever tells them apart) thing by thing, any other list as a whole; null removes a field.
 */
export function mergePodSpec(ours: PodSpec, more: PodSpec): PodSpec {
  const merged: Record<string, unknown> = { ...ours };
  for (const [field, value] of Object.entries(more)) {
    if (value === null) delete merged[field];
    else merged[field] = mergedValues(field, merged[field], value);
  }
  return merged;
}

/** What tells the items of these lists apart; Kubernetes calls it the patch merge key. */
const mergeKeys: Readonly<Record<string, string>> = {
  containers: "name",
  initContainers: "name",
  volumes: "name",
  env: "name",
  imagePullSecrets: "name",
  volumeMounts: "mountPath",
  volumeDevices: "devicePath",
  ports: "containerPort",
  hostAliases: "ip",
  topologySpreadConstraints: "topologyKey",
};

function mergedValues(field: string, ours: unknown, more: unknown): unknown {
  const key = mergeKeys[field];
  if (key !== undefined && Array.isArray(ours) && Array.isArray(more)) return mergedLists(ours, more, key);
  return isMap(more) ? mergePodSpec(isMap(ours) ? ours : {}, more) : more;
}

/** Ours keep their order; what is new comes behind them. */
function mergedLists(ours: readonly unknown[], more: readonly unknown[], key: string): readonly unknown[] {
  const idOf = (item: unknown): unknown => (isMap(item) ? item[key] : undefined);
  const merged = [...ours];
  for (const item of more) {
    const at = merged.findIndex((other) => idOf(other) !== undefined && idOf(other) === idOf(item));
    if (at === -1 || !isMap(item)) merged.push(item);
    else merged[at] = mergePodSpec(merged[at] as PodSpec, item);
  }
  return merged;
}

function isMap(value: unknown): value is PodSpec {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
