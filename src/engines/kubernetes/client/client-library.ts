/**
 * What of the client library is used whole. Its configuration imports every type of the API, which takes as long as all
 * of our own start: import this module dynamically, where a kubeconfig asks for it.
 */

import type { Agent, RequestOptions } from "node:https";
import { KubeConfig } from "@kubernetes/client-node";

import type { Access } from "./kubeconfig.ts";

/** Where the API server is for a pod; undefined outside of one. The library reads the variables that Kubernetes sets in each. */
export function inClusterServer(): string | undefined {
  const config = new KubeConfig();
  config.loadFromCluster();
  const server = config.getCurrentCluster()?.server ?? "";
  // It writes down what is missing, too.
  return URL.canParse(server) && !server.includes("undefined") ? server : undefined;
}

/** An agent that goes through the kubeconfig's proxy: http, https or socks. */
export async function proxyAgent(access: Access): Promise<Agent> {
  const options: RequestOptions = {};
  await configOf(access, undefined).applyToHTTPSOptions(options);
  const agent = options.agent as Agent;
  // The library has no option for it.
  return Object.assign(agent, { keepAlive: true });
}

/** Asks an authentication provider for the Authorization header; it refreshes its tokens by itself. */
export function providerAuthorization(access: Access): () => Promise<string | undefined> {
  const config = configOf(access, access.user.authProvider);
  return async () => {
    const options: RequestOptions & { headers?: Record<string, string> } = { headers: {} };
    await config.applyToHTTPSOptions(options);
    return options.headers?.Authorization;
  };
}

function configOf(access: Access, authProvider: Access["user"]["authProvider"]): KubeConfig {
  const name = access.context;
  const config = new KubeConfig();
  config.loadFromOptions({
    // The library refuses http unless verification is off.
    clusters: [
      {
        name,
        server: access.server,
        skipTLSVerify: access.skipsVerification || isPlain(access),
        proxyUrl: access.proxy,
      },
    ],
    users: [{ name, authProvider }],
    contexts: [{ name, cluster: name, user: name }],
    currentContext: name,
  });
  return config;
}

function isPlain({ server }: Access): boolean {
  return server.startsWith("http:");
}
