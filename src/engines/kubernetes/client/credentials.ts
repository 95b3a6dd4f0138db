import { readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
// Only this part: the library's configuration imports all types of the API.
import { ExecAuth } from "@kubernetes/client-node/dist/exec_auth.js";

import { type Access, type ExecPlugin, type Material, noCredentials } from "./kubeconfig.ts";

export interface Identity {
  readonly tls: Pick<RequestOptions, "ca" | "cert" | "key" | "servername" | "rejectUnauthorized">;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
}

export interface Credentials {
  /** For the next request. Fails: engine-unavailable. */
  identity(): Promise<Identity>;
  /** Files are read again and plugins asked again: the API server took the last identity for none of its own. */
  reload(): void;
}

/** Milliseconds that the content of a token's file is used; kubelet renews it well before it ends. */
const tokenAge = 60_000;
/** Milliseconds that a plugin may take; it may ask a server of its own. */
const pluginTime = 60_000;

export function createCredentials(access: Access): Credentials {
  const { user } = access;
  let materials: Identity["tls"] | undefined;
  let authorization = authorizationOf(access);
  return {
    async identity() {
      materials ??= readMaterials(access);
      const { header, tls } = await authorization();
      return {
        tls: { ...materials, ...tls },
        headers: { ...user.impersonation, ...(header === undefined ? {} : { Authorization: header }) },
      };
    },
    reload() {
      materials = undefined;
      authorization = authorizationOf(access);
    },
  };
}

type Authorization = () => Promise<{ readonly header?: string | undefined; readonly tls?: Identity["tls"] }>;

/** In kubectl's order: a file before the token beside it, a plugin last. */
function authorizationOf(access: Access): Authorization {
  const { token, tokenFile, password, exec, authProvider } = access.user;
  if (tokenFile !== undefined) return fileAuthorization(access, tokenFile);
  if (token !== undefined) return async () => ({ header: `Bearer ${token}` });
  if (password !== undefined) {
    const basic = Buffer.from(`${password.name}:${password.password}`).toString("base64");
    return async () => ({ header: `Basic ${basic}` });
  }
  if (exec !== undefined) return pluginAuthorization(access, exec);
  if (authProvider !== undefined) return oldProviderAuthorization(access);
  return async () => ({});
}

function fileAuthorization(access: Access, file: string): Authorization {
  let read: { readonly token: string; readonly at: number } | undefined;
  return async () => {
    if (read === undefined || performance.now() - read.at > tokenAge) {
      read = { token: fileContent(access, file).toString("utf8").trim(), at: performance.now() };
    }
    return { header: `Bearer ${read.token}` };
  };
}

function pluginAuthorization(access: Access, exec: ExecPlugin): Authorization {
  const plugin = new ExecAuth();
  let asked: Promise<RequestOptions> | undefined;
  return async () => {
    // It keeps its answer until that expires, but not that it has been asked already.
    asked ??= askPlugin(plugin, access, exec).finally(() => {
      asked = undefined;
    });
    const { cert, key, headers } = await asked;
    const header = (headers as Record<string, string> | undefined)?.Authorization;
    return { header, tls: cert === undefined ? {} : { cert, key } };
  };
}

async function askPlugin(plugin: ExecAuth, access: Access, exec: ExecPlugin): Promise<RequestOptions> {
  const options: RequestOptions = {};
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new Error(`it gave no answer within ${pluginTime / 1000} seconds`));
  }, pluginTime);
  try {
    const user = { name: access.context, exec };
    await Promise.race([plugin.applyAuthentication(user, options), late.promise]);
    return options;
  } catch (error) {
    const why = (error instanceof Error ? error.message : String(error)).trim() || "it failed without a word";
    const hint = exec.installHint ? ` (${exec.installHint.trim()})` : "";
    throw noCredentials(
      `(context ${access.context})`,
      `its plugin ${exec.command} failed: ${why.replace(/\.$/, "")}${hint}`,
      [],
      error,
    );
  } finally {
    clearTimeout(timer);
  }
}

function oldProviderAuthorization(access: Access): Authorization {
  let provider: Promise<() => Promise<string | undefined>> | undefined;
  return async () => {
    try {
      provider ??= import("./client-library.ts").then((library) => library.providerAuthorization(access));
      return { header: await (await provider)() };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const name = String(access.user.authProvider?.name);
      throw noCredentials(`(context ${access.context})`, `its provider ${name} failed: ${why}`, [], error);
    }
  };
}

function readMaterials(access: Access): Identity["tls"] {
  const { ca, certificate, key, tlsServerName, skipsVerification } = access;
  return {
    ...(ca === undefined ? {} : { ca: contentOf(access, ca) }),
    ...(certificate === undefined ? {} : { cert: contentOf(access, certificate) }),
    ...(key === undefined ? {} : { key: contentOf(access, key) }),
    ...(tlsServerName === undefined ? {} : { servername: tlsServerName }),
    ...(skipsVerification ? { rejectUnauthorized: false } : {}),
  };
}

function contentOf(access: Access, material: Material): Buffer {
  return "file" in material ? fileContent(access, material.file) : Buffer.from(material.base64, "base64");
}

function fileContent({ context }: Access, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw noCredentials(`(context ${context})`, `cannot read ${file} (${why})`, [], error);
  }
}
