import type { RunActions } from "../../../src/operations/run-actions.ts";

/** Actions of which a test gives those that it uses; the others do nothing. */
export function testActions(given: Partial<RunActions> = {}): RunActions {
  return {
    deploy: async () => ({ runId: "run-1" }),
    async *followRun() {},
    cancelRun: async () => {},
    deleteDeployment: async () => ({ found: false }),
    cleanEnvironments: async () => [],
    resume() {},
    cancelAll: async () => {},
    running: () => [],
    ...given,
  };
}
