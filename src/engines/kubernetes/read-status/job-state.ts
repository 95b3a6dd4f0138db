import type { KubernetesObject } from "../client/cluster.ts";
import { listAt, numberAt, textAt } from "../client/objects.ts";
import { isLeaving, type PodState, podState } from "./pod-state.ts";

/** Where an attempt is, by its Job and the pods of it. */
export type JobState =
  /** Its Job is gone, and no pod of it says how it went. */
  | { readonly kind: "gone" }
  /** `disrupted`: why the pod before is no more. */
  | { readonly kind: "no-pod"; readonly disrupted: string | undefined }
  | { readonly kind: "pod"; readonly pod: KubernetesObject; readonly state: PodState }
  /** The Job says how it ended: its pod was deleted, or ended by the Job itself. */
  | {
      readonly kind: "unseen";
      readonly succeeded: boolean;
      readonly reason: string;
      readonly pod: KubernetesObject | undefined;
    };

export function jobState(job: KubernetesObject | undefined, pods: readonly KubernetesObject[]): JobState {
  const seen = pods
    .map((pod) => ({ pod, state: podState(pod) }))
    .toSorted((a, b) => createdAt(b.pod) - createdAt(a.pod));
  const ended = seen.find(({ state }) => state.kind === "ended");
  const condition = endCondition(job);
  if (condition !== undefined && (ended === undefined || condition.byJob)) {
    const { succeeded, reason } = condition;
    return { kind: "unseen", succeeded, reason, pod: seen[0]?.pod };
  }
  if (ended !== undefined) return { kind: "pod", ...ended };
  const current = seen.find(({ pod, state }) => state.kind !== "disrupted" && !isLeaving(pod));
  if (current !== undefined && job !== undefined) return { kind: "pod", ...current };
  if (job === undefined) return { kind: "gone" };
  const [last] = seen;
  return { kind: "no-pod", disrupted: last === undefined ? undefined : whyGone(last.state) };
}

interface JobEnd {
  readonly succeeded: boolean;
  readonly reason: string;
  /** It ended its pod itself, whose own exit then says nothing. */
  readonly byJob: boolean;
}

function endCondition(job: KubernetesObject | undefined): JobEnd | undefined {
  const found = listAt(job, "status", "conditions").find(
    (condition) => textAt(condition, "status") === "True" && endTypes.has(textAt(condition, "type") ?? ""),
  );
  if (found === undefined) return undefined;
  const succeeded = succeededTypes.has(textAt(found, "type") ?? "");
  const byJob = textAt(found, "reason") === "DeadlineExceeded";
  return { succeeded, reason: succeeded ? "exit 0" : failureWords(job, found), byJob };
}

const succeededTypes: ReadonlySet<string> = new Set(["Complete", "SuccessCriteriaMet"]);
const endTypes: ReadonlySet<string> = new Set([...succeededTypes, "Failed", "FailureTarget"]);

function failureWords(job: KubernetesObject | undefined, condition: unknown): string {
  const reason = textAt(condition, "reason") ?? "";
  const limit = numberAt(job, "spec", "activeDeadlineSeconds");
  if (reason === "DeadlineExceeded") return `timed out after ${limit ?? "all its"} s`;
  const told = [reason, textAt(condition, "message") ?? ""].filter((text) => text !== "").join(": ");
  return `failed, and its pod was deleted before its exit was read (${told})`;
}

function whyGone(state: PodState): string {
  return state.kind === "disrupted" ? state.reason : "its pod was deleted";
}

function createdAt({ metadata }: KubernetesObject): number {
  return Date.parse(metadata.creationTimestamp ?? "") || 0;
}
