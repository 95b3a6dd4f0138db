import { defineConfig } from "vitest/config";
import { SkippedForCluster } from "./tests/support/skipped-for-cluster.ts";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    globalSetup: ["tests/support/isolation.ts"],
    reporters: ["default", new SkippedForCluster()],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: "forks",
    maxWorkers: 2,
  },
});
