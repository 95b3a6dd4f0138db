import { defineConfig } from "vitest/config";
import { SkippedForCluster } from "./tests/support/skipped-for-cluster.ts";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    globalSetup: ["tests/support/isolation.ts"],
    reporters: process.env.BODYWORK_TEST_KUBECONFIG ? ["default"] : ["default", new SkippedForCluster()],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: "forks",
    maxWorkers: 2,
  },
});
