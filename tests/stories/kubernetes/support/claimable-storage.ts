import { chmodSync } from "node:fs";
import { onTestFinished } from "vitest";
import type { TestCluster } from "../../../support/cluster.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

/** One claim of the test can be met: by the cluster itself, else by a folder of this machine, which is its node. */
export async function claimableStorage(cluster: TestCluster): Promise<void> {
  if ((await cluster.kubectl("get", "storageclasses", "--output", "name")) !== "") return;
  const folder = temporaryFolder("volume");
  // Whichever user a pod has.
  chmodSync(folder, 0o777);
  const name = `test-${folder.split("-").at(-1)?.toLowerCase()}`;
  await cluster.kubectlWithInput(
    JSON.stringify({
      apiVersion: "v1",
      kind: "PersistentVolume",
      metadata: { name },
      spec: {
        capacity: { storage: "10Gi" },
        accessModes: ["ReadWriteOnce"],
        persistentVolumeReclaimPolicy: "Retain",
        hostPath: { path: folder },
      },
    }),
    ...["create", "--filename", "-"],
  );
  onTestFinished(async () => {
    await cluster.kubectl("delete", "persistentvolume", name, "--wait=false");
  });
}
