import { expect, test } from "vitest";
import { SecretValue } from "../../../src/core/secret-value.ts";
import { aJob } from "../support/records.ts";
import { run } from "../support/terminal.ts";

test("update deployment takes the options of create: branch, key, job and retries", async () => {
  const asked: unknown[] = [];
  const { exitCode, stdout } = await run(
    "update deployment git@forge.test:me/p --branch=main --ssh key --async --async-job-name foo --retries=2",
    {
      operations: {
        createJob: async (job, credentials) => {
          asked.push({ job, keep: credentials?.keep, key: credentials?.sshKey.reveal() });
          return aJob({ id: "async-workflow-foo" });
        },
      },
      wiring: { readKeyFile: async (path) => new SecretValue(`-----BEGIN PRIVATE KEY----- of ${path}`) },
    },
  );
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "Created workflow-job=async-workflow-foo\n" });
  expect(asked).toEqual([
    {
      job: {
        name: "foo",
        retries: 2,
        request: expect.objectContaining({ url: "git@forge.test:me/p", branch: "main" }),
      },
      keep: true,
      key: "-----BEGIN PRIVATE KEY----- of /home/me/key",
    },
  ]);
});
