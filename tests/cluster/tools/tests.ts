/** Files and folders of the tests that need a cluster, from the root. All others run without. */
export const kubernetesTests = [
  "tests/cluster/",
  "tests/contracts/kubernetes-engine.test.ts",
  "tests/stories/kubernetes/",
] as const;
