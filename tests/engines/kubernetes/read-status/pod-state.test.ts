import { describe, expect, test } from "vitest";

import type { KubernetesObject } from "../../../../src/engines/kubernetes/client/cluster.ts";
import {
  hasLog,
  type PodState,
  podState,
  unschedulableText,
} from "../../../../src/engines/kubernetes/read-status/pod-state.ts";
import { pod, report, running, startedAt, terminated, waiting } from "./statuses.ts";

const scheduled = { conditions: [{ type: "PodScheduled", status: "True" }] };
const since = new Date(startedAt);
const noNode = "0/1 nodes are available: 1 Insufficient cpu. preemption: not helpful";
const unscheduled = {
  conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: noNode }],
};
const target = (reason: string, message = "why") => ({
  conditions: [{ type: "DisruptionTarget", status: "True", reason, message }],
});
const ended = (code: number | undefined, reason: string, phase?: string): PodState => ({
  kind: "ended",
  exit: { code, reason },
  report: phase === undefined ? undefined : { status: "failed", reason, phase },
});
const trouble = (about: string, reason: string, message: string, hope: string) => ({
  kind: "creating",
  trouble: { about, reason, message, hope },
});
const imageTrouble = (reason: string, message: string) =>
  pod(scheduled, { container: waiting(reason, message) });

const rows: readonly (readonly [string, KubernetesObject, unknown])[] = [
  ["just made", pod({}, { node: "" }), { kind: "unscheduled", message: undefined }],
  ["no node has room", pod(unscheduled, { node: "" }), { kind: "unscheduled", message: noNode }],
  ["has a node, nothing told yet", pod(scheduled), { kind: "creating", trouble: undefined }],
  [
    "its container is being made",
    pod(scheduled, { container: waiting("ContainerCreating") }),
    { kind: "creating", trouble: undefined },
  ],
  [
    "its container waits for others",
    pod(scheduled, { container: waiting("PodInitializing") }),
    { kind: "creating", trouble: undefined },
  ],
  [
    "an image that is not there",
    imageTrouble("ErrImagePull", "pull access denied, repository does not exist"),
    trouble("image", "ErrImagePull", "pull access denied, repository does not exist", "hardly"),
  ],
  [
    "a tag that is not there",
    imageTrouble("ImagePullBackOff", "Back-off pulling image: ErrImagePull: x/y:1: not found"),
    trouble("image", "ImagePullBackOff", "Back-off pulling image: ErrImagePull: x/y:1: not found", "hardly"),
  ],
  [
    "a registry that does not answer",
    imageTrouble("ErrImagePull", "dial tcp 1.2.3.4:443: i/o timeout"),
    trouble("image", "ErrImagePull", "dial tcp 1.2.3.4:443: i/o timeout", "maybe"),
  ],
  [
    "no name of an image",
    imageTrouble("InvalidImageName", "couldn't parse image name"),
    trouble("image", "InvalidImageName", "couldn't parse image name", "never"),
  ],
  [
    "no name of an image, as containerd says it",
    imageTrouble("ErrImagePull", "failed to parse image reference: invalid reference format"),
    trouble("image", "ErrImagePull", "failed to parse image reference: invalid reference format", "never"),
  ],
  [
    "an image that is never pulled",
    imageTrouble("ErrImageNeverPull", "not present with pull policy of Never"),
    trouble("image", "ErrImageNeverPull", "not present with pull policy of Never", "never"),
  ],
  [
    "a secret that is not there",
    pod(scheduled, { container: waiting("CreateContainerConfigError", 'secret "x" not found') }),
    trouble("configuration", "CreateContainerConfigError", 'secret "x" not found', "hardly"),
  ],
  [
    "a runtime that fails",
    pod(scheduled, { container: waiting("CreateContainerError", "device busy") }),
    trouble("container", "CreateContainerError", "device busy", "maybe"),
  ],
  [
    "running, not ready",
    pod({ phase: "Running" }, { container: running() }),
    { kind: "running", since, ready: false, restarts: 0, before: undefined },
  ],
  [
    "running and ready",
    pod({ phase: "Running" }, { container: running({ ready: true }) }),
    { kind: "running", since, ready: true, restarts: 0, before: undefined },
  ],
  [
    "running again",
    pod(
      { phase: "Running" },
      {
        container: running({ restartCount: 1, lastState: { terminated: terminated(3) } }),
        restartPolicy: "Always",
      },
    ),
    { kind: "running", since, ready: false, restarts: 1, before: { code: 3, reason: "exit 3" } },
  ],
  [
    "ended once, to start anew",
    pod(
      { phase: "Running" },
      { container: { state: { terminated: terminated(1) } }, restartPolicy: "Always" },
    ),
    { kind: "restarting", exit: { code: 1, reason: "exit 1" }, restarts: 0, looping: false },
  ],
  [
    "in a crash loop",
    pod(
      { phase: "Running" },
      {
        container: {
          ...waiting("CrashLoopBackOff"),
          restartCount: 2,
          lastState: { terminated: terminated(1) },
        },
        restartPolicy: "Always",
      },
    ),
    { kind: "restarting", exit: { code: 1, reason: "exit 1" }, restarts: 2, looping: true },
  ],
  [
    "ended well",
    pod({ phase: "Succeeded" }, { container: { state: { terminated: terminated(0) } } }),
    { kind: "ended", exit: { code: 0, reason: "exit 0" }, report: undefined },
  ],
  [
    "ended well before its node was drained",
    pod(
      { phase: "Succeeded", ...target("EvictionByEvictionAPI") },
      { container: { state: { terminated: terminated(0) } } },
    ),
    { kind: "ended", exit: { code: 0, reason: "exit 0" }, report: undefined },
  ],
  [
    "ended with a code",
    pod({ phase: "Failed" }, { container: { state: { terminated: terminated(7) } } }),
    ended(7, "exit 7"),
  ],
  [
    "its program says why",
    pod(
      { phase: "Failed" },
      { container: { state: { terminated: terminated(1, report({ reason: "exit 3", phase: "module" })) } } },
    ),
    ended(1, "exit 3", "module"),
  ],
  [
    "its program says that its time was over",
    pod(
      { phase: "Failed" },
      {
        container: {
          state: { terminated: terminated(1, report({ reason: "timed out after 60 s", phase: "module" })) },
        },
      },
    ),
    ended(1, "timed out after 60 s", "module"),
  ],
  [
    "out of memory",
    pod(
      { phase: "Failed" },
      { container: { state: { terminated: terminated(137, { reason: "OOMKilled" }) } }, memory: "100Mi" },
    ),
    ended(137, "out of memory (limit 100 MiB)"),
  ],
  [
    "out of memory below the first process, which says something else",
    pod(
      { phase: "Failed" },
      {
        container: {
          state: { terminated: terminated(1, { reason: "OOMKilled", ...report({ reason: "exit 3" }) }) },
        },
        memory: "1Gi",
      },
    ),
    {
      kind: "ended",
      exit: { code: 1, reason: "out of memory (limit 1Gi)" },
      report: { status: "failed", reason: "exit 3" },
    },
  ],
  [
    "out of memory without a limit",
    pod(
      { phase: "Failed" },
      { container: { state: { terminated: terminated(137, { reason: "OOMKilled" }) } } },
    ),
    ended(137, "out of memory (of its node: the stage has no limit)"),
  ],
  [
    "killed",
    pod({ phase: "Failed" }, { container: { state: { terminated: terminated(137) } } }),
    ended(137, "SIGKILL"),
  ],
  [
    "a fault of its own",
    pod({ phase: "Failed" }, { container: { state: { terminated: terminated(139) } } }),
    ended(139, "SIGSEGV"),
  ],
  [
    "a command that is not there",
    pod(
      { phase: "Failed" },
      {
        container: {
          state: { terminated: terminated(128, { reason: "StartError", message: "no /bin/sh" }) },
        },
      },
    ),
    ended(128, "its container cannot start: no /bin/sh"),
  ],
  [
    "a node that lost track of it",
    pod(
      { phase: "Failed" },
      { container: { state: { terminated: terminated(137, { reason: "ContainerStatusUnknown" }) } } },
    ),
    { ...ended(137, ""), exit: { code: undefined, lost: true, reason: "its node lost track of it" } },
  ],
  [
    "its deadline",
    pod(
      { phase: "Failed", reason: "DeadlineExceeded", message: "Pod was active too long" },
      { deadline: 150 },
    ),
    ended(undefined, "timed out after 150 s"),
  ],
  [
    "refused by its node",
    pod({ phase: "Failed", reason: "NodeAffinity", message: "Pod was rejected" }),
    ended(undefined, "NodeAffinity: Pod was rejected"),
  ],
  [
    "evicted for want of memory",
    pod({ phase: "Failed", reason: "Evicted", message: "The node was low on resource: memory." }),
    { kind: "disrupted", reason: "evicted: The node was low on resource: memory." },
  ],
  [
    "its node is drained",
    pod(
      { phase: "Running", ...target("EvictionByEvictionAPI", "Eviction API: evicting") },
      { container: running() },
    ),
    { kind: "disrupted", reason: "evicted: Eviction API: evicting" },
  ],
  [
    "preempted",
    pod({ phase: "Failed", ...target("PreemptionByScheduler", "by x") }),
    { kind: "disrupted", reason: "preempted by a more important pod: by x" },
  ],
  [
    "a reason that nobody knows yet",
    pod({ phase: "Failed", ...target("BySomethingNew") }),
    { kind: "disrupted", reason: "BySomethingNew: why" },
  ],
  [
    "its node shuts down",
    pod({
      phase: "Failed",
      reason: "Terminated",
      message: "Pod was terminated in response to imminent node shutdown.",
    }),
    {
      kind: "disrupted",
      reason: "its node is gone: Pod was terminated in response to imminent node shutdown.",
    },
  ],
];

describe("the status of a pod", () => {
  test.each(rows)("%s", (_, object, state) => {
    expect(podState(object)).toEqual(state);
  });

  test("has a log from when its container runs", () => {
    const withLog = rows
      .filter(([, object]) => hasLog(podState(object)))
      .map(([, object]) => podState(object).kind);
    expect(new Set(withLog)).toEqual(new Set(["running", "restarting", "ended"]));
  });
});

test("why there is no node is said in the scheduler's words", () => {
  expect(unschedulableText(noNode, "jobs", "train")).toBe(
    `Inadequate cluster cpu to start jobs (train): ${noNode}`,
  );
  const both = "0/2 nodes are available: 1 Insufficient cpu, 2 Insufficient memory.";
  expect(unschedulableText(both, "deployments", "serve")).toBe(
    `Inadequate cluster cpu and memory to start deployments (serve): ${both}`,
  );
  const taint = "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: true}.";
  expect(unschedulableText(taint, "jobs", "train")).toBe(
    `No node of the cluster takes jobs (train): ${taint}`,
  );
});
