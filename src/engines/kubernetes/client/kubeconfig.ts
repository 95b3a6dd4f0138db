import { readFileSync } from "node:fs";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";

import { Failure } from "../../../core/failure.ts";
import { hasCode } from "../../../lib/has-code.ts";

/** How one context of a kubeconfig reaches its API server, and as whom. Files are named by absolute paths. */
export interface Access {
  readonly context: string;
  /** `https://10.0.0.1:6443`, or with a path after it, never with a slash at its end. */
  readonly server: string;
  readonly ca: Material | undefined;
  readonly certificate: Material | undefined;
  readonly key: Material | undefined;
  readonly tlsServerName: string | undefined;
  readonly skipsVerification: boolean;
  readonly proxy: string | undefined;
  readonly user: User;
}

/** PEM, in a file or as the kubeconfig has it: in base64. */
export type Material = { readonly file: string } | { readonly base64: string };

export interface User {
  readonly token?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly password?: { readonly name: string; readonly password: string } | undefined;
  readonly exec?: ExecPlugin | undefined;
  /** `oidc` and others that Kubernetes had before exec plugins; as it is written there. */
  readonly authProvider?: Readonly<Record<string, unknown>> | undefined;
  /** Headers by which this user acts as another. */
  readonly impersonation: Readonly<Record<string, string | readonly string[]>>;
}

export type ExecPlugin = z.infer<typeof execSchema>;

/**
 * Reads the files of `KUBECONFIG` (one path, or several with `:` between them) as kubectl does: the first that names a
 * thing is right about it, and files that are not there are passed over as long as one is. Fails: engine-unavailable.
 */
export function readKubeconfig(files: string, context: string | undefined): Access {
  const paths = files.split(delimiter).filter((path) => path !== "");
  const read = paths.flatMap((path) => readOne(path, paths.length > 1));
  if (read.length === 0) throw noCredentials(files, "there is no such file");
  const all = {
    clusters: read.flatMap(({ config, path }) =>
      (config.clusters ?? []).map((entry) => ({ ...entry, path })),
    ),
    contexts: read.flatMap(({ config }) => config.contexts ?? []),
    users: read.flatMap(({ config, path }) => (config.users ?? []).map((entry) => ({ ...entry, path }))),
  };
  const name = context ?? read.map(({ config }) => config["current-context"]).find((found) => !!found);
  if (!name) throw noCredentials(files, "it has no current context", all.contexts);
  const chosen = all.contexts.find((entry) => entry.name === name)?.context;
  if (chosen === undefined) throw noCredentials(files, `it has no context ${name}`, all.contexts);
  const cluster = all.clusters.find((entry) => entry.name === chosen.cluster);
  if (cluster === undefined) throw noCredentials(files, `it has no cluster ${chosen.cluster}`);
  const user = all.users.find((entry) => entry.name === chosen.user);
  if (user === undefined && chosen.user) throw noCredentials(files, `it has no user ${chosen.user}`);
  return accessOf(name, cluster, user ?? { path: cluster.path });
}

export function noCredentials(
  where: string,
  why: string,
  contexts: readonly { readonly name: string }[] = [],
  cause?: unknown,
): Failure {
  return new Failure(
    "engine-unavailable",
    `Cannot load authentication credentials from kubeconfig ${where}: ${why}.`,
    {
      hint:
        contexts.length === 0
          ? "KUBECONFIG says which file is read; `kubectl config view` shows what is in it."
          : `Contexts: ${contexts.map(({ name }) => name).join(", ")}.`,
      cause,
    },
  );
}

const text = z.string().nullish();
const base64 = z.base64().nullish();

const clusterSchema = z.looseObject({
  server: z.url({ protocol: /^https?$/ }),
  "certificate-authority": text,
  "certificate-authority-data": base64,
  "insecure-skip-tls-verify": z.boolean().nullish(),
  "tls-server-name": text,
  "proxy-url": text,
});

const execSchema = z.looseObject({
  apiVersion: z.string(),
  command: z.string().min(1),
  args: z.array(z.string()).nullish(),
  env: z.array(z.looseObject({ name: z.string(), value: z.string() })).nullish(),
  provideClusterInfo: z.boolean().nullish(),
  installHint: text,
});

const userSchema = z.looseObject({
  "client-certificate": text,
  "client-certificate-data": base64,
  "client-key": text,
  "client-key-data": base64,
  token: text,
  tokenFile: text,
  username: text,
  password: text,
  exec: execSchema.nullish(),
  "auth-provider": z.looseObject({ name: z.string() }).nullish(),
  as: text,
  "as-uid": text,
  "as-groups": z.array(z.string()).nullish(),
  "as-user-extra": z.record(z.string(), z.array(z.string())).nullish(),
});

const schema = z.looseObject({
  "current-context": text,
  clusters: z.array(z.looseObject({ name: z.string(), cluster: clusterSchema })).nullish(),
  contexts: z
    .array(z.looseObject({ name: z.string(), context: z.looseObject({ cluster: z.string(), user: text }) }))
    .nullish(),
  users: z.array(z.looseObject({ name: z.string(), user: userSchema.nullish() })).nullish(),
});

interface ReadFile {
  readonly path: string;
  readonly config: z.infer<typeof schema>;
}

function readOne(path: string, mayBeMissing: boolean): readonly ReadFile[] {
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    if (mayBeMissing && hasCode(error, "ENOENT")) return [];
    throw noCredentials(path, reasonOf(error), [], error);
  }
  const parsed = schema.safeParse(valuesOf(path, content));
  if (parsed.success) return [{ path, config: parsed.data }];
  const [issue] = parsed.error.issues;
  throw noCredentials(path, `${issue?.path.join(".") || "its content"} is wrong (${issue?.message})`);
}

function valuesOf(path: string, content: string): unknown {
  try {
    return parse(content, { logLevel: "error" }) ?? {};
  } catch (error) {
    // The parser's message goes on with the lines around the fault, which may hold a token.
    const [firstLine = ""] = reasonOf(error).split("\n");
    throw noCredentials(path, `it is no YAML (${firstLine.replace(/[:.]$/, "")})`);
  }
}

function reasonOf(error: unknown): string {
  if (hasCode(error, "ENOENT")) return "there is no such file";
  if (hasCode(error, "EACCES", "EPERM")) return "it may not be read";
  return error instanceof Error ? error.message : String(error);
}

function accessOf(
  context: string,
  { cluster, path }: { readonly cluster: z.infer<typeof clusterSchema>; readonly path: string },
  user: { readonly user?: z.infer<typeof userSchema> | null | undefined; readonly path: string },
): Access {
  const fields = user.user ?? {};
  return {
    context,
    server: cluster.server.replace(/\/+$/, ""),
    ca: material(path, cluster["certificate-authority"], cluster["certificate-authority-data"]),
    certificate: material(user.path, fields["client-certificate"], fields["client-certificate-data"]),
    key: material(user.path, fields["client-key"], fields["client-key-data"]),
    tlsServerName: cluster["tls-server-name"] || undefined,
    skipsVerification: cluster["insecure-skip-tls-verify"] ?? false,
    proxy: cluster["proxy-url"] || undefined,
    user: userOf(fields, user.path, cluster),
  };
}

function userOf(
  fields: z.infer<typeof userSchema>,
  path: string,
  cluster: z.infer<typeof clusterSchema>,
): User {
  return {
    token: fields.token || undefined,
    tokenFile: fields.tokenFile ? beside(path, fields.tokenFile) : undefined,
    password: fields.username ? { name: fields.username, password: fields.password ?? "" } : undefined,
    exec: fields.exec ? pluginOf(fields.exec, path, cluster) : undefined,
    authProvider: fields["auth-provider"] ?? undefined,
    impersonation: impersonationOf(fields),
  };
}

/** What a plugin is told of the cluster is defined with client.authentication.k8s.io: `ExecCredential`, in a variable. */
function pluginOf(exec: ExecPlugin, path: string, cluster: z.infer<typeof clusterSchema>): ExecPlugin {
  const { server } = cluster;
  const info = {
    apiVersion: exec.apiVersion,
    kind: "ExecCredential",
    spec: {
      interactive: false,
      ...(exec.provideClusterInfo
        ? {
            cluster: {
              server,
              "tls-server-name": cluster["tls-server-name"] ?? undefined,
              "insecure-skip-tls-verify": cluster["insecure-skip-tls-verify"] ?? undefined,
              "certificate-authority-data": cluster["certificate-authority-data"] ?? undefined,
              "proxy-url": cluster["proxy-url"] ?? undefined,
            },
          }
        : {}),
    },
  };
  return {
    ...exec,
    // A name without a slash is looked for in PATH.
    command: exec.command.includes("/") ? beside(path, exec.command) : exec.command,
    env: [...(exec.env ?? []), { name: "KUBERNETES_EXEC_INFO", value: JSON.stringify(info) }],
  };
}

function impersonationOf(fields: z.infer<typeof userSchema>): User["impersonation"] {
  return {
    ...(fields.as ? { "Impersonate-User": fields.as } : {}),
    ...(fields["as-uid"] ? { "Impersonate-Uid": fields["as-uid"] } : {}),
    ...(fields["as-groups"]?.length ? { "Impersonate-Group": fields["as-groups"] } : {}),
    ...Object.fromEntries(
      Object.entries(fields["as-user-extra"] ?? {}).map(([name, values]) => [
        `Impersonate-Extra-${encodeURIComponent(name)}`,
        values,
      ]),
    ),
  };
}

function material(
  path: string,
  file: string | null | undefined,
  data: string | null | undefined,
): Material | undefined {
  if (data) return { base64: data };
  return file ? { file: beside(path, file) } : undefined;
}

function beside(kubeconfig: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(kubeconfig), path);
}
