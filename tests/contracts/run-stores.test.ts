import { join } from "node:path";
import { createClusterStore } from "../../src/engines/kubernetes/records/cluster-store.ts";
import { systemClock } from "../../src/lib/system-clock.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { fakeCluster } from "../support/fake-cluster.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { describeRunStore } from "./run-store.ts";

describeRunStore("the record on this machine", async () =>
  openStore(join(temporaryFolder("store"), "store.db")),
);

describeRunStore("the record in a cluster", async () =>
  createClusterStore({ cluster: fakeCluster(), clock: systemClock }),
);
