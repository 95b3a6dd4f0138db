import { expect, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import { SecretValue } from "../../src/core/secret-value.ts";
import { createClient, type ServerClient } from "../../src/http/client.ts";
import type { Operations } from "../../src/operations/operations.ts";
import type { ServerAdmin } from "../../src/operations/server-admin.ts";
import { cuttingProxy } from "./support/cutting-proxy.ts";
import { localToken, testApi } from "./support/test-api.ts";

const canary = "c4n4ry-Zq";
/** What every verb answers: whatever it is of, a secret has found its way into it. */
const leaky = [
  { data: { KEY: new SecretValue(canary) }, why: `${new SecretValue(canary)}`, found: true, runId: "1" },
];
const data = { KEY: new SecretValue(canary) };
const credentials = { sshKey: new SecretValue(canary), keep: true };
const request = { url: "https://forge.test/x", branch: undefined, strict: false, startedBy: "command" };
const cronjob = {
  ...{ name: "a", schedule: "@daily", timezone: "UTC", request, retries: 0, historyLimit: 1 },
  ...({ concurrency: "forbid", catchUp: "none", suspended: false } as const),
};

const calls: Readonly<Record<keyof Operations, (to: ServerClient) => unknown>> &
  Record<string, (to: ServerClient) => unknown> = {
  deploy: (to) => to.deploy(request, credentials),
  plan: (to) => to.plan(request, credentials),
  followRun: (to) => read(to.followRun("x", 0)),
  cancelRun: (to) => to.cancelRun("x", "Ctrl-C"),
  deleteDeployment: (to) => to.deleteDeployment("x"),
  deleteService: (to) => to.deleteService("x", "y"),
  cleanEnvironments: (to) => to.cleanEnvironments({ unusedDays: 0 }),
  createJob: (to) => to.createJob({ name: "x", request, retries: 0 }, credentials),
  deleteJob: (to) => to.deleteJob("x"),
  createCronjob: (to) => to.createCronjob(cronjob, credentials),
  updateCronjob: (to) => to.updateCronjob("x", cronjob, credentials),
  deleteCronjob: (to) => to.deleteCronjob("x"),
  createSecret: (to) => to.createSecret("a", "b", data),
  updateSecret: (to) => to.updateSecret("a", "b", data),
  deleteSecret: (to) => to.deleteSecret("a", "b"),
  deleteSecretGroup: (to) => to.deleteSecretGroup("a"),
  readSecrets: (to) => to.readSecrets({ group: "a" }),
  deployments: (to) => to.deployments({}),
  runs: (to) => to.runs({}),
  run: (to) => to.run("x"),
  logs: (to) => read(to.logs({ deployment: "x", follow: false })),
  environments: (to) => to.environments(),
  secrets: (to) => to.secrets({}),
  cronjobs: (to) => to.cronjobs({}),
  jobs: (to) => to.jobs({}),
  jobLog: (to) => read(to.jobLog("x")),
  tokens: (to) => to.tokens(),
  audit: (to) => to.audit({ limit: 100 }),
  rotateKey: (to) => to.rotateKey(),
};
const streams = ["followRun", "logs", "jobLog"];

test.each(["answers", "failures"])(
  "of all %s of the API only that of readSecrets has a value in it",
  async (what) => {
    const answer =
      what === "answers" ? async () => leaky : () => Promise.reject(failureWith(new SecretValue(canary)));
    const verbs = Object.fromEntries(
      Object.keys(calls).map((name) => [name, streams.includes(name) ? leakyStream : answer]),
    );
    const admin = verbs as unknown as ServerAdmin;
    const { api, store, log } = await testApi(verbs as Partial<Operations>, { admin });
    for (const [name, call] of Object.entries(calls)) {
      const proxy = await cuttingProxy(Number(new URL(api).port));
      await Promise.resolve(call(createClient({ api: proxy.api, token: localToken }))).catch(() => {});
      expect(proxy.answers(), name).toMatch(/^HTTP\/1\.1 \d/);
      expect(proxy.answers().includes(canary), name).toBe(name === "readSecrets" && what === "answers");
    }
    expect(JSON.stringify(store.auditEntries(1_000))).not.toContain(canary);
    expect(log.join("\n")).not.toContain(canary);
  },
);

async function* leakyStream() {
  yield* leaky;
}

function failureWith(value: SecretValue): Failure {
  return new Failure("internal", `Cannot use ${value}.`, { details: [String(value)], cause: value });
}

async function read(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}
