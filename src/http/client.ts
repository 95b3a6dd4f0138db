import { Failure } from "../core/failure.ts";
import { type SecretData, SecretValue } from "../core/secret-value.ts";
import type {
  Operations,
  RepositoryCredentials,
  RevealedSecret,
  ServerStatus,
} from "../operations/operations.ts";
import type { CreatedToken, ServerAdmin } from "../operations/server-admin.ts";
import { createConnection, type ServerAddress } from "./connection.ts";

/** A server's verbs over HTTP. Every call fails with server-unreachable when nobody answers. */
export interface ServerClient extends Operations, ServerAdmin {
  status(): Promise<ServerStatus>;
  listen(address: string): Promise<ServerStatus>;
  stop(options: { readonly services: boolean }): Promise<void>;
}

/** Milliseconds that a server may take to say how it is. */
const statusTime = 5_000;
const root = "/api/v1";

/** Fails: usage when the address may not be used. */
export function createClient(address: ServerAddress): ServerClient {
  const { json, lines, bytes } = createConnection(address);
  return {
    // Who does not answer this is not to be waited for: it asks nothing of the server.
    status: () => json("GET", `${root}/server`, undefined, AbortSignal.timeout(statusTime)),
    listen: (listen) => json("PUT", `${root}/server/listen`, { listen }),
    async stop(options) {
      await json("POST", `${root}/server/stop`, options);
    },

    deploy: (request, credentials) =>
      json("POST", `${root}/runs`, { request, credentials: sent(credentials) }),
    plan: (request, credentials) =>
      json("POST", `${root}/plans`, { request, credentials: sent(credentials) }),
    followRun: (runId, after, signal) => lines(path`/runs/${runId}/events` + query({ after }), signal),
    async cancelRun(runId, why) {
      await json("POST", path`/runs/${runId}/cancel`, { why });
    },
    deleteDeployment: (name) => json("DELETE", path`/deployments/${name}`),
    deleteService: (deployment, service) =>
      json("DELETE", path`/deployments/${deployment}/services/${service}`),
    cleanEnvironments: (options) => json("POST", `${root}/environments/clean`, options),

    createJob: (job, credentials) => json("POST", `${root}/jobs`, { ...job, credentials: sent(credentials) }),
    deleteJob: (id) => json("DELETE", path`/jobs/${id}`),
    createCronjob: (spec, credentials) =>
      json("POST", `${root}/cronjobs`, { spec, credentials: sent(credentials) }),
    updateCronjob: (name, change, credentials) =>
      json("PATCH", path`/cronjobs/${name}`, { change, credentials: sent(credentials) }),
    deleteCronjob: (name) => json("DELETE", path`/cronjobs/${name}`),

    createSecret: (group, name, data) =>
      json("POST", `${root}/secrets`, { group, name, data: revealed(data) }),
    updateSecret: (group, name, data) =>
      json("PATCH", path`/secrets/${group}/${name}`, { data: revealed(data) }),
    deleteSecret: (group, name) => json("DELETE", path`/secrets/${group}/${name}`),
    deleteSecretGroup: (group) => json("DELETE", path`/secrets/${group}`),
    async readSecrets(filter) {
      const secrets = await json<readonly SentSecret[]>("POST", `${root}/secrets/reveal`, filter);
      return secrets.map((secret): RevealedSecret => ({ ...secret, data: concealed(secret.data) }));
    },

    deployments: (filter) => json("GET", `${root}/deployments${query(filter)}`),
    runs: (filter) => json("GET", `${root}/runs${query(filter)}`),
    run: (id) => json("GET", path`/runs/${id}`),
    logs: ({ deployment, stage, runId, tail, follow }, signal) =>
      lines(`${root}/logs${query({ deployment, stage, run: runId, tail, follow })}`, signal),
    environments: () => json("GET", `${root}/environments`),
    secrets: (filter) => json("GET", `${root}/secrets${query(filter)}`),
    cronjobs: (filter) => json("GET", `${root}/cronjobs${query(filter)}`),
    jobs: ({ cronjob, limit }) =>
      json("GET", `${root}/jobs${query(cronjob === null ? { async: true, limit } : { cronjob, limit })}`),
    jobLog: (id) => lines(path`/jobs/${id}/log`),

    async createToken(wanted) {
      const { record, token } = await json<SentToken>("POST", `${root}/server/tokens`, wanted);
      return { record, token: new SecretValue(token) };
    },
    tokens: () => json("GET", `${root}/server/tokens`),
    revokeToken: (id) => json("DELETE", path`/server/tokens/${id}`),
    audit: (filter) => json("GET", `${root}/server/audit${query(filter)}`),
    backup: () => bytes(`${root}/server/backup`),
    rotateKey: () => json("POST", `${root}/server/rotate-key`),
  };
}

type SentSecret = Omit<RevealedSecret, "data"> & { readonly data: Readonly<Record<string, string>> };
type SentToken = Omit<CreatedToken, "token"> & { readonly token: string };

/** Below the API's root, with what is filled in as one part each, whatever characters it has. Fails: usage. */
function path(texts: TemplateStringsArray, ...values: readonly string[]): string {
  // A URL can't hold them, not even encoded: it would be that of another thing, of the whole group for one secret of it.
  const place = values.find((value) => value === "." || value === "..");
  if (place !== undefined) throw new Failure("usage", `Cannot use "${place}" as a name.`);
  return root + String.raw({ raw: texts }, ...values.map(encodeURIComponent));
}

function query(values: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const given = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined) given.append(key, String(value));
  }
  return given.size === 0 ? "" : `?${given}`;
}

function sent(credentials: RepositoryCredentials | undefined) {
  return credentials && { sshKey: credentials.sshKey.reveal(), keep: credentials.keep };
}

function revealed(data: SecretData): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, value.reveal()]));
}

function concealed(data: Readonly<Record<string, string>>): SecretData {
  return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, new SecretValue(text)]));
}
