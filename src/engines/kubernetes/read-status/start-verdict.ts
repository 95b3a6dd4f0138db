import { type PodState, type StartTrouble, unschedulableText } from "./pod-state.ts";

/** A pod whose container does not run yet. */
export type StartingState = Extract<PodState, { readonly kind: "unscheduled" | "creating" }>;

export interface StartTimes {
  /** Since it was first seen. */
  readonly starting: number;
  /** Since kubelet first told of its trouble. */
  readonly inTrouble: number;
}

export type StartVerdict =
  /** `note`: what keeps it waiting. `again`: seconds until it has to be judged anew, whatever happens. */
  | { readonly kind: "wait"; readonly note: string | undefined; readonly again: number }
  | { readonly kind: "fail"; readonly reason: string };

/** Seconds that a trouble with little hope gets: two or three tries of kubelet's. */
const hardlyHopes = 30;

/**
 * Whether it is worth waiting longer for a pod to start.
 * @param times seconds
 * @param what of whose kind it is, and the stage's name in Kubernetes
 */
export function startVerdict(
  state: StartingState,
  times: StartTimes,
  startTimeout: number,
  what: { readonly kind: "jobs" | "deployments"; readonly name: string },
): StartVerdict {
  const note = noteOf(state, what);
  const trouble = state.kind === "creating" ? state.trouble : undefined;
  if (trouble?.hope === "never") return { kind: "fail", reason: troubleText(trouble) };
  if (trouble?.hope === "hardly" && times.inTrouble >= hardlyHopes) {
    return { kind: "fail", reason: troubleText(trouble) };
  }
  if (times.starting >= startTimeout) {
    return {
      kind: "fail",
      reason: `did not start within ${startTimeout} s${note === undefined ? "" : `: ${note}`}`,
    };
  }
  const untilTimeout = startTimeout - times.starting;
  const again =
    trouble?.hope === "hardly" ? Math.min(untilTimeout, hardlyHopes - times.inTrouble) : untilTimeout;
  return { kind: "wait", note, again };
}

function noteOf(
  state: StartingState,
  { kind, name }: { readonly kind: "jobs" | "deployments"; readonly name: string },
): string | undefined {
  if (state.kind === "unscheduled") {
    return state.message === undefined ? undefined : unschedulableText(state.message, kind, name);
  }
  return state.trouble === undefined ? undefined : troubleText(state.trouble);
}

function troubleText({ about, reason, message }: StartTrouble): string {
  const told = message.includes(reason) ? message : `${reason}: ${message}`;
  switch (about) {
    case "image":
      return `its image cannot be had: ${told}`;
    case "configuration":
      return `its container lacks something: ${told}`;
    case "container":
      return `its container cannot be made: ${told}`;
  }
}
