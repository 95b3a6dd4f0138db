import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { sanitisedName } from "../../core/naming.ts";
import type { Address } from "./addresses.ts";
import type { Layout } from "./layout.ts";
import { type HostsEntry, writeHosts, writePrivateHosts } from "./name-hook/hosts-file.ts";
import { installNameHook, nameHookVariables, noProxyNames } from "./name-hook/name-hook.ts";
import { privateHostsAllowed, privateHostsPrefix } from "./name-hook/private-hosts.ts";

/** A live service, by the names that lead to it. */
export interface NamedService {
  readonly namespace: string;
  /** Raw stage name. */
  readonly stage: string;
  /** Its own port, which clients name. */
  readonly port: number;
  /** Its stable address. */
  readonly address: Address;
}

/** How processes find services by name. */
export interface Names {
  /** Makes these, and no others, resolve: everywhere by their long names, inside their namespace by the bare one too. */
  publish(services: readonly NamedService[]): void;
  /** For a process of that namespace; `bind` turns its port into its own address. */
  variables(
    namespace: string,
    bind: { readonly port: number; readonly address: Address } | undefined,
  ): Record<string, string>;
  /**
   * Goes before the command of a process, so that programs other than Python resolve the names too; often empty. A batch
   * stage gets it only when there is a name to resolve (it costs some milliseconds); a service lives on and always does.
   */
  privateHostsPrefix(namespace: string, kind: "batch" | "service"): Promise<readonly string[]>;
}

export function createNames(layout: Layout, machine: Readonly<Record<string, string>>): Names {
  const hook = installNameHook(layout.hookFolder);
  mkdirSync(join(layout.home, "names"), { recursive: true, mode: 0o700 });
  let published: readonly NamedService[] = [];
  const allowed = privateHostsAllowed();
  const namespacesSeen = new Map<string, string>();
  const write = (namespace: string): void => {
    const file = layout.hostsFile(namespace);
    namespacesSeen.set(namespace, file);
    const entries = hostsSeenFrom(namespace, published);
    writeHosts(file, entries);
    writePrivateHosts(privateFile(file), entries);
  };

  return {
    publish(services) {
      published = services;
      for (const namespace of new Set([
        ...namespacesSeen.keys(),
        ...services.map((service) => service.namespace),
      ])) {
        write(namespace);
      }
      emptyForgotten(layout, new Set(namespacesSeen.values()));
    },
    variables(namespace, bind) {
      if (!namespacesSeen.has(namespace)) write(namespace);
      const names = hostsSeenFrom(namespace, published).flatMap((entry) => entry.names);
      const noProxy = noProxyNames(machine.NO_PROXY ?? machine.no_proxy, [...names, "127.0.0.0/8"]);
      return {
        ...nameHookVariables({
          hook,
          hostsFile: layout.hostsFile(namespace),
          bind:
            bind === undefined
              ? []
              : [{ port: bind.port, address: bind.address.host, addressPort: bind.address.port }],
        }),
        NO_PROXY: noProxy,
        no_proxy: noProxy,
        ...(bind === undefined ? {} : { HOST: bind.address.host, PORT: String(bind.address.port) }),
      };
    },
    async privateHostsPrefix(namespace, kind) {
      if (!(await allowed) || (kind === "batch" && published.length === 0)) return [];
      if (!namespacesSeen.has(namespace)) write(namespace);
      return privateHostsPrefix(privateFile(layout.hostsFile(namespace)));
    },
  };
}

function hostsSeenFrom(namespace: string, services: readonly NamedService[]): readonly HostsEntry[] {
  return services.map((service) => {
    const name = sanitisedName(service.stage).toLowerCase();
    const space = sanitisedName(service.namespace).toLowerCase();
    const long = [`${name}.${space}`, `${name}.${space}.svc`, `${name}.${space}.svc.cluster.local`];
    return {
      address: service.address.host,
      // A stage may be called localhost; the machine's own loopback is meant all the same.
      names: service.namespace === namespace && name !== "localhost" ? [name, ...long] : long,
      ports: { [service.port]: service.address.port },
    };
  });
}

/** The file that stages of the namespace see as /etc/hosts. */
function privateFile(hostsFile: string): string {
  return `${hostsFile}.etc`;
}

/** Files of an earlier server's namespaces must not go on naming services that are gone. */
function emptyForgotten(layout: Layout, known: ReadonlySet<string>): void {
  const folder = join(layout.home, "names");
  for (const name of readdirSync(folder)) {
    const file = join(folder, name);
    if (!name.endsWith(".hosts") || known.has(file)) continue;
    writeHosts(file, []);
    writePrivateHosts(privateFile(file), []);
  }
}
