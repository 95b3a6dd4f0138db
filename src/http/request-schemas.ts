/** What more than one route takes. Values are bounded: what comes over the network may be anything. */

import { z } from "zod";

import { SecretValue } from "../core/secret-value.ts";
import { withoutCredentials } from "../core/url-credentials.ts";
import type { RepositoryCredentials } from "../operations/operations.ts";

/** Of a deployment, service, run, job, cronjob, group or secret. */
export const name = z.string().min(1).max(256);
/** Text of a person or a tool, such as a reason. */
export const words = z.string().max(1024);
/** Of a list, for all of a long history would keep the server from everybody else. */
export const limit = z.coerce.number().int().min(0).max(1_000).default(1_000);

export const nameParams = z.strictObject({ name });
export const idParams = z.strictObject({ id: name });
export const found = z.object({ found: z.boolean() });

const askedFor = {
  url: z.string().min(1).max(4096),
  branch: z.string().max(1024).optional(),
  acceptHostKey: z.string().max(256).optional(),
  strict: z.boolean().default(false),
  group: name.optional(),
  image: z.string().max(512).optional(),
  checkImage: z.boolean().optional(),
  startedBy: z.string().max(64).default("api"),
};

/** As of `DeployRequest`; which job a run belongs to is the server's to say. */
export const deployRequest = z
  .strictObject(askedFor)
  .transform(({ branch, ...request }) => ({ ...request, branch }));

/** One that may come twice, and is to be accepted once. */
export const repeatableDeployRequest = z
  .strictObject({
    ...askedFor,
    key: z
      .string()
      .regex(/^[0-9a-f]{32}$/, "it is not 32 hex digits")
      .optional(),
  })
  .transform(({ branch, ...request }) => ({ ...request, branch }));

/** What lets the server read a private repository, as it is sent. */
export const credentials = z.strictObject({ sshKey: z.string().max(65_536), keep: z.boolean() }).optional();

export function credentialsOf(sent: z.output<typeof credentials>): RepositoryCredentials | undefined {
  return sent === undefined ? undefined : { sshKey: new SecretValue(sent.sshKey), keep: sent.keep };
}

/**
 * A repository's address for the audit log, which has refused ones too: what is not of the form of an address may have a
 * password or a token anywhere.
 */
export function auditedAddress(url: string): string {
  const shown = withoutCredentials(url);
  return addressForms.some((form) => form.test(shown)) ? shown : "an address of no known form";
}

const addressForms = [
  /^https?:\/\/(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?\/[^?#\s\\]*$/i,
  /^ssh:\/\/([\w.+~-]+@)?(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?\/[^?#\s\\]*$/i,
  /^([\w.+~-]+@)?(\[[0-9a-f:.]+\]|[\w.-]+):[^@?#\s\\]+$/i,
  /^file:\/\/\/[^@?#\s\\]+$/i,
];
