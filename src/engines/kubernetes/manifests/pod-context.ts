import type { KubernetesSettings } from "../../../core/settings.ts";

/** What the manifests of a stage depend on besides its task. Plain data. */
export interface PodContext {
  readonly settings: KubernetesSettings;
  readonly sources: SourcesPlace;
  /** Name of the ConfigMap with the pod's program, in the pipeline's namespace. */
  readonly program: string;
  /** ISO 8601, for `last-updated`. */
  readonly now: string;
}

/** Where a pod finds its commit. */
export type SourcesPlace =
  /** In these Secrets of the pipeline's namespace, in this order, each with one part (key `part`). */
  | { readonly kind: "secrets"; readonly names: readonly string[] }
  /** In the storage of the settings, under this key. */
  | { readonly kind: "stored"; readonly key: string };

/** How requests from outside reach a service. */
export type Routing =
  | { readonly kind: "gateway"; readonly gateway: { readonly namespace: string; readonly name: string } }
  | { readonly kind: "nginx"; readonly ingressClass: string }
  | { readonly kind: "traefik"; readonly ingressClass: string }
  | { readonly kind: "none"; readonly why: string };

/** What of a cluster the choice of a routing depends on. */
export interface RoutingFacts {
  /** Undefined when the Gateway API is not served. */
  readonly gateways: readonly { readonly namespace: string; readonly name: string }[] | undefined;
  readonly ingressClasses: readonly { readonly name: string; readonly controller: string }[];
}
