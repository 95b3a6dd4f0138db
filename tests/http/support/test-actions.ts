import type { Operations } from "../../../src/operations/operations.ts";
import type { ServerAdmin } from "../../../src/operations/server-admin.ts";

/** Operations of which a test gives those that it uses; the others fail. */
export function testOperations(given: Partial<Operations> = {}): Operations {
  return { ...refusing(operationNames, streamNames), ...given } as Operations;
}

export function testAdmin(given: Partial<ServerAdmin> = {}): ServerAdmin {
  return { ...refusing(adminNames, ["backup"]), ...given } as ServerAdmin;
}

/** Every name, with a type that misses none. */
const operationNames = namesOf<Exclude<keyof Operations, StreamName>>({
  ...{ deploy: 1, plan: 1, cancelRun: 1, deleteDeployment: 1, deleteService: 1, cleanEnvironments: 1 },
  ...{ createJob: 1, deleteJob: 1, createCronjob: 1, updateCronjob: 1, deleteCronjob: 1 },
  ...{ createSecret: 1, updateSecret: 1, deleteSecret: 1, deleteSecretGroup: 1, readSecrets: 1 },
  ...{ deployments: 1, runs: 1, run: 1, environments: 1, secrets: 1, cronjobs: 1, jobs: 1 },
});
type StreamName = "followRun" | "logs" | "jobLog";
const streamNames = namesOf<StreamName>({ followRun: 1, logs: 1, jobLog: 1 });
const adminNames = namesOf<Exclude<keyof ServerAdmin, "backup">>({
  ...{ createToken: 1, tokens: 1, revokeToken: 1, audit: 1, rotateKey: 1 },
});

function namesOf<Name extends string>(names: Record<Name, 1>): readonly string[] {
  return Object.keys(names);
}

function refusing(names: readonly string[], streams: readonly string[]): object {
  const missing = (name: string) => new Error(`the test gives no ${name}`);
  return Object.fromEntries([
    ...names.map((name) => [name, () => Promise.reject(missing(name))]),
    ...streams.map((name) => [
      name,
      // biome-ignore lint/correctness/useYield: it fails before it could.
      async function* () {
        throw missing(name);
      },
    ]),
  ]);
}
