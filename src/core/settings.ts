import { parseDocument } from "yaml";
import { z } from "zod";

import { Failure } from "./failure.ts";

/** The user's settings, `settings.yaml` in the home folder; every key is optional. */
const settingsSchema = z.strictObject({
  /** Which engine commands act on when nothing else says. */
  engine: z.enum(["local", "kubernetes"]).optional(),
  /** Public address of the ingress, `HOST:PORT`. */
  listen: z
    .string()
    .regex(/^[^\s:]+:\d{1,5}$/, "must be HOST:PORT")
    .optional(),
  /** Hosts from which repositories may be cloned over plain http. */
  insecure_git_hosts: z.array(z.string().min(1)).default([]),
  /** Batch stages of one run that may run at once; 8 or twice the number of cores, whichever is more, by default. */
  max_parallel_stages: z.int().min(1).optional(),
  /** Runs that are carried out at once; further ones wait. */
  max_parallel_runs: z.int().min(1).default(8),
  jobs: z
    .strictObject({
      /** Seconds until the second run of a job; doubled with each further one, up to 6 minutes, as Kubernetes does it. */
      retry_delay_seconds: z.number().min(0).default(10),
    })
    .prefault({}),
  secrets: z
    .strictObject({
      /** A program with its arguments that writes the secrets' master key to standard output; without it a file has the key. */
      key_command: z.array(z.string().min(1)).min(1).optional(),
    })
    .prefault({}),
  /** For clients on other machines. */
  api: z
    .strictObject({
      /** `HOST:PORT`, or `[::]:PORT`; without it only this machine's own commands reach the server. */
      listen: z
        .string()
        .regex(/^(\[[0-9A-Fa-f:.]+\]|[^\s:/@[\]]+):\d{1,5}$/, "must be HOST:PORT")
        .optional(),
      /** Files in PEM, in the home folder unless absolute: the certificate with those that sign it, and its key. */
      tls_cert: z.string().min(1).optional(),
      tls_key: z.string().min(1).optional(),
      /** Further names and addresses by which clients call it. */
      hosts: z.array(z.string().min(1)).default([]),
      /** Listen beyond this machine without TLS: a proxy before it does that. */
      insecure: z.boolean().default(false),
    })
    .refine((api) => (api.tls_cert === undefined) === (api.tls_key === undefined), {
      message: "tls_cert and tls_key go together",
    })
    .prefault({}),
  /** The cluster, and what stages get there. */
  kubernetes: z
    .strictObject({
      /** Context of the kubeconfig; its current one by default. */
      context: z.string().min(1).optional(),
      /** Our own image, for what runs in the cluster by itself: cronjobs and `--async`. */
      image: z.string().min(1).default("bodyworkml/bodywork:4.0.0"),
      /** Whether images of Docker Hub are looked up before a deployment. */
      image_check: z.boolean().default(true),
      /** Where they are looked up. */
      docker_hub: z.url().default("https://hub.docker.com"),
      /** `auto`: as the original, always; but not when the image is named by its digest. */
      image_pull_policy: z.enum(["auto", "Always", "IfNotPresent", "Never"]).default("auto"),
      /** How services are reached from outside; `auto`: what the cluster has. */
      routes: z.enum(["auto", "gateway", "nginx", "traefik", "none"]).default("auto"),
      /** `NAMESPACE/NAME` of the Gateway that routes are attached to; the only one there is by default. */
      gateway: z
        .string()
        .regex(/^[a-z0-9.-]+\/[a-z0-9.-]+$/, "must be NAMESPACE/NAME")
        .optional(),
      ingress_class: z.string().min(1).optional(),
      /** Where requests from outside arrive, `https://models.example.com`, to show whole URLs. */
      url: z.url().optional(),
      /** Where stages keep Python environments for the next pod: a claim, a folder of the node, or nowhere. */
      environment_cache: z
        .union([
          z.literal("none"),
          z.strictObject({ claim: z.string().min(1) }),
          z.strictObject({ node: z.string().startsWith("/") }),
        ])
        .default("none"),
      /** Where outputs of stages, and commits of more than 8 MiB, are kept: a bucket, or a claim. */
      storage: z
        .union([
          z.strictObject({ claim: z.string().min(1) }),
          z.strictObject({
            s3: z.strictObject({
              bucket: z.string().min(1),
              endpoint: z.url().optional(),
              region: z.string().min(1).default("us-east-1"),
              prefix: z.string().default("bodywork"),
              /** Secret group and name with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as `GROUP/NAME`. */
              secret: z.string().regex(/^[^/]+\/[^/]+$/, "must be GROUP/NAME"),
            }),
          }),
        ])
        .optional(),
      /** Of claims that we make. */
      claims: z
        .strictObject({ size: z.string().default("10Gi"), storage_class: z.string().min(1).optional() })
        .prefault({}),
      /** Environment variables of every stage: proxies, package indexes. */
      variables: z.record(z.string(), z.string()).default({}),
      /** Seconds that a pod may wait for its node, its image and its volumes. */
      start_timeout_seconds: z.int().min(1).default(300),
      /** Seconds that a pod of a service goes on answering after it was taken out of the routes. */
      drain_seconds: z.int().min(0).default(10),
      /** Releases whose commits are kept in the cluster, so that they start again without the forge. */
      kept_commits: z.int().min(1).default(5),
      /** Work inside this one namespace, without rights to the whole cluster. */
      single_namespace: z.string().min(1).optional(),
    })
    .prefault({}),
  git: z
    .strictObject({
      /** Seconds that a fetch may take. */
      fetch_timeout_seconds: z.int().min(1).default(600),
      /** Mebibytes that a repository may grow to. */
      max_repository_mb: z.int().min(1).default(4096),
    })
    .prefault({}),
});

export type Settings = z.infer<typeof settingsSchema>;
export type ApiSettings = Settings["api"];
export type KubernetesSettings = Settings["kubernetes"];

/** Reads the text of the settings file. Throws `usage` with every problem: settings are ours, not a pipeline's. */
export function parseSettings(text: string, file: string): Settings {
  const parsed = settingsSchema.safeParse(readValues(text, file) ?? {});
  if (parsed.success) return parsed.data;
  throw new Failure("usage", `Cannot use the settings ${file}.`, {
    details: parsed.error.issues.map(({ path, message }) => `${path.join(".") || "(the file)"}: ${message}`),
    hint: `Keys: ${keys.join(", ")}.`,
  });
}

const keys = Object.entries(settingsSchema.shape).flatMap(([key, schema]) => {
  const below = schema instanceof z.ZodPrefault ? (schema.unwrap() as z.ZodObject).shape : undefined;
  return below === undefined ? [key] : Object.keys(below).map((name) => `${key}.${name}`);
});

function readValues(text: string, file: string): unknown {
  const document = parseDocument(text);
  try {
    const [syntax] = document.errors;
    if (syntax !== undefined) throw syntax;
    return document.toJS({ maxAliasCount: 10 });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure("usage", `Cannot read the settings ${file}: ${why}`);
  }
}
