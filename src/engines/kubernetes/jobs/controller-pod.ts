import type { KubernetesObject } from "../client/cluster.ts";
import { textAt } from "../client/objects.ts";
import { type PodState, podState } from "../read-status/pod-state.ts";

/** What a job's pod does: it waits (and why), works, or has ended (and how, when that was not well). */
export type ControllerState =
  | { readonly kind: "waiting"; readonly why: string | undefined }
  | { readonly kind: "working" }
  | { readonly kind: "ended"; readonly why: string | undefined };

/** Of the pod of a controller. Of an image of ours that can't be had is told how to mend it. */
export function controllerState(pod: KubernetesObject): ControllerState {
  const state = podState(pod);
  switch (state.kind) {
    case "running":
    case "restarting":
      return { kind: "working" };
    case "unscheduled":
    case "creating":
      return { kind: "waiting", why: troubleOf(state, pod) };
    case "disrupted":
      return { kind: "ended", why: state.reason };
    case "ended": {
      const { code, reason } = state.exit;
      if (code === 0) return { kind: "ended", why: undefined };
      const cannotStart = reason.startsWith("its container cannot start");
      return {
        kind: "ended",
        why: cannotStart ? `${reason}. ${mending}` : `its controller failed: ${reason}`,
      };
    }
  }
}

function troubleOf(
  state: Extract<PodState, { kind: "unscheduled" | "creating" }>,
  pod: KubernetesObject,
): string | undefined {
  if (state.kind === "unscheduled") {
    return state.message === undefined ? undefined : `no node takes its pod: ${state.message}`;
  }
  if (state.trouble === undefined) return undefined;
  const { about, reason, message } = state.trouble;
  if (about !== "image") {
    // Such as that it would run as root.
    const isImage = /\bimage\b/.test(message);
    return `its container cannot start: ${message}${isImage ? `. ${mending}` : ""}`;
  }
  const image = textAt(pod, "spec", "containers", 0, "image") ?? "of the controller";
  return `the image ${image} cannot be had: ${reason}${message === reason ? "" : ` (${message})`}. ${mending}`;
}

const mending =
  "Name one that the cluster can pull by the setting kubernetes.image; bodywork image build makes it";
