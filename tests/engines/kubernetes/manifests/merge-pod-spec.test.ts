import { describe, expect, test } from "vitest";

import { mergePodSpec } from "../../../../src/engines/kubernetes/manifests/merge-pod-spec.ts";

describe("further fields of a pod", () => {
  test("are added to ours, however deep they are", () => {
    expect(
      mergePodSpec(
        { securityContext: { runAsNonRoot: true }, restartPolicy: "Never" },
        { securityContext: { runAsUser: 1000 }, hostname: "h" },
      ),
    ).toEqual({
      securityContext: { runAsNonRoot: true, runAsUser: 1000 },
      restartPolicy: "Never",
      hostname: "h",
    });
  });

  test("go to the container, volume or variable of that name, and are new ones else", () => {
    expect(
      mergePodSpec(
        { containers: [{ name: "bodywork", env: [{ name: "A", value: "1" }], tty: false }] },
        {
          containers: [
            { name: "side", image: "s" },
            { name: "bodywork", env: [{ name: "A", value: "2" }, { name: "B" }] },
          ],
        },
      ),
    ).toEqual({
      containers: [
        { name: "bodywork", env: [{ name: "A", value: "2" }, { name: "B" }], tty: false },
        { name: "side", image: "s" },
      ],
    });
  });

  test("may mount one volume in two places", () => {
    const mounts = (...paths: string[]) => paths.map((mountPath) => ({ name: "data", mountPath }));
    expect(
      mergePodSpec(
        { containers: [{ name: "bodywork", volumeMounts: mounts("/a") }] },
        { containers: [{ name: "bodywork", volumeMounts: mounts("/b") }] },
      ),
    ).toEqual({ containers: [{ name: "bodywork", volumeMounts: mounts("/a", "/b") }] });
  });

  test("replace lists of things without a name, and take away what they say is null", () => {
    expect(
      mergePodSpec(
        { tolerations: [{ key: "a" }], command: ["x"], securityContext: { a: 1 } },
        { tolerations: [{ key: "b" }], command: ["y", "z"], securityContext: null },
      ),
    ).toEqual({ tolerations: [{ key: "b" }], command: ["y", "z"] });
  });

  test("leave ours as they were", () => {
    const ours = { containers: [{ name: "bodywork" }] };
    mergePodSpec(ours, { containers: [{ name: "bodywork", tty: true }] });
    expect(ours).toEqual({ containers: [{ name: "bodywork" }] });
  });
});
