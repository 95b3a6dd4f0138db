import { homedir } from "node:os";
import { join } from "node:path";
import { cacheFolder } from "../../../tools/setup.mjs";

/** What the cluster of the tests is built from: releases of Go modules. */
export const versions = {
  kubernetes: "1.34.4",
  etcd: "3.6.5",
  coredns: "1.12.4",
  traefik: "3.6.12",
  gatewayApi: "1.4.0",
} as const;

/** Where things lie, all below the cache folder. */
export interface Places {
  /** Programs, by their versions; they stay. */
  readonly bin: string;
  /** Types of objects that Traefik reads, as manifests; beside the programs. */
  readonly crds: string;
  /** Images as archives; they stay. */
  readonly images: string;
  /** Everything of one cluster: its certificates, objects, containers and logs. */
  readonly state: string;
}

/** `name`: of the cluster; several can run at once. */
export function placesOf(env: NodeJS.ProcessEnv, name = "tests"): Places {
  const root = join(cacheFolder({ HOME: homedir(), ...env }), "test-cluster");
  const { kubernetes, etcd, coredns, traefik } = versions;
  const built = `kubernetes-${kubernetes}_etcd-${etcd}_coredns-${coredns}_traefik-${traefik}`;
  return {
    bin: join(root, built, "bin"),
    crds: join(root, built, `crds-gateway-${versions.gatewayApi}`),
    images: join(root, "images-of-debian"),
    state: join(root, "clusters", name),
  };
}
