import { describe, expect, test } from "vitest";

import { at, textAt } from "../../../../src/engines/kubernetes/client/objects.ts";
import type { RoutingFacts } from "../../../../src/engines/kubernetes/manifests/pod-context.ts";
import {
  chooseRouting,
  routeKinds,
  routeObjects,
} from "../../../../src/engines/kubernetes/manifests/route.ts";
import { serviceTask, settings } from "./support/tasks.ts";

const shared = { namespace: "infra", name: "shared" };
const other = { namespace: "infra", name: "other" };
const nginx = { name: "public", controller: "k8s.io/ingress-nginx" };
const traefik = { name: "edge", controller: "traefik.io/ingress-controller" };
const haproxy = { name: "ha", controller: "haproxy.org/ingress-controller" };
const facts = (change: Partial<RoutingFacts> = {}): RoutingFacts => ({
  gateways: undefined,
  ingressClasses: [],
  ...change,
});

describe("the way in from outside", () => {
  test("is the cluster's only Gateway, before any IngressClass", () => {
    expect(chooseRouting(facts({ gateways: [shared], ingressClasses: [nginx] }), settings())).toEqual({
      kind: "gateway",
      gateway: shared,
    });
  });

  test("is an IngressClass of nginx or Traefik when there is no Gateway, or no way to choose one", () => {
    const found = facts({ gateways: [shared, other], ingressClasses: [haproxy, traefik, nginx] });
    expect(chooseRouting(found, settings())).toEqual({ kind: "nginx", ingressClass: "public" });
    expect(chooseRouting(facts({ ingressClasses: [traefik] }), settings())).toEqual({
      kind: "traefik",
      ingressClass: "edge",
    });
  });

  test("is what the settings name", () => {
    const found = facts({ gateways: [shared, other], ingressClasses: [nginx, traefik] });
    expect(chooseRouting(found, settings({ gateway: "infra/other" }))).toEqual({
      kind: "gateway",
      gateway: other,
    });
    expect(chooseRouting(found, settings({ ingress_class: "edge" }))).toEqual({
      kind: "traefik",
      ingressClass: "edge",
    });
    expect(chooseRouting(found, settings({ routes: "nginx", ingress_class: "mine" }))).toEqual({
      kind: "nginx",
      ingressClass: "mine",
    });
  });

  test("may be a Gateway that we may not list", () => {
    expect(chooseRouting(facts({ gateways: [] }), settings({ gateway: "infra/shared" }))).toEqual({
      kind: "gateway",
      gateway: shared,
    });
  });

  test.each([
    [facts(), settings(), "does not serve the Gateway API, and it has no IngressClass of nginx or Traefik"],
    [facts({ gateways: [] }), settings({ routes: "gateway" }), "has no Gateway"],
    [facts(), settings({ routes: "gateway", gateway: "a/b" }), "does not serve the Gateway API"],
    [
      facts({ gateways: [shared, other] }),
      settings({ routes: "gateway" }),
      "several Gateways, infra/shared, infra/other",
    ],
    [facts({ gateways: [shared] }), settings({ gateway: "infra/typo" }), "there is no Gateway infra/typo"],
    [facts({ ingressClasses: [nginx] }), settings({ ingress_class: "typo" }), "no IngressClass typo"],
    [facts({ ingressClasses: [haproxy] }), settings({ ingress_class: "ha" }), "is of haproxy.org"],
    [facts({ gateways: [shared] }), settings({ routes: "none" }), "kubernetes.routes: none"],
  ])("is missing for a reason (%#)", (found, chosen, why) => {
    const routing = chooseRouting(found, chosen);
    expect(routing).toEqual({ kind: "none", why: expect.stringContaining(why) as string });
  });
});

describe("the route of a service", () => {
  const labels = { app: "bodywork", stage: "stage-2", "deployment-name": "my-project" };
  const metadata = { name: "stage-2", namespace: "space", labels };

  test("through a Gateway takes /NAMESPACE/STAGE from a request", () => {
    expect(routeObjects(serviceTask(), { kind: "gateway", gateway: shared })).toMatchObject([
      {
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "HTTPRoute",
        metadata,
        spec: {
          parentRefs: [shared],
          rules: [
            {
              matches: [{ path: { type: "PathPrefix", value: "/space/stage-2" } }],
              filters: [
                {
                  type: "URLRewrite",
                  urlRewrite: { path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/" } },
                },
              ],
              backendRefs: [{ name: "stage-2", port: 5000 }],
            },
          ],
        },
      },
    ]);
  });

  test("through nginx is the original's, of a class and a path type that today's nginx takes", () => {
    const [route, ...more] = routeObjects(serviceTask(), { kind: "nginx", ingressClass: "public" });
    expect(more).toEqual([]);
    expect(route).toMatchObject({
      apiVersion: "networking.k8s.io/v1",
      kind: "Ingress",
      metadata: {
        ...metadata,
        annotations: {
          "nginx.ingress.kubernetes.io/rewrite-target": "/$2",
          "nginx.ingress.kubernetes.io/use-regex": "true",
        },
      },
      spec: {
        ingressClassName: "public",
        rules: [
          {
            http: {
              paths: [
                {
                  path: "/space/stage-2(/|$)(.*)",
                  pathType: "ImplementationSpecific",
                  backend: { service: { name: "stage-2", port: { number: 5000 } } },
                },
              ],
            },
          },
        ],
      },
    });
    expect(route?.metadata.annotations).not.toHaveProperty("kubernetes.io/ingress.class");
  });

  test("through nginx means a dot as a dot", () => {
    const [route] = routeObjects(serviceTask({ name: "score.v2" }), { kind: "nginx", ingressClass: "n" });
    expect(textAt(route, "spec", "rules", 0, "http", "paths", 0, "path")).toBe("/space/score\\.v2(/|$)(.*)");
  });

  test("through Traefik has a middleware of its own, and is not that of stage-20 as well", () => {
    const [middleware, route] = routeObjects(serviceTask(), { kind: "traefik", ingressClass: "edge" });
    expect(middleware).toMatchObject({
      apiVersion: "traefik.io/v1alpha1",
      kind: "Middleware",
      metadata,
      spec: { stripPrefix: { prefixes: ["/space/stage-2"] } },
    });
    expect(route).toMatchObject({
      metadata: {
        annotations: { "traefik.ingress.kubernetes.io/router.middlewares": "space-stage-2@kubernetescrd" },
      },
      spec: { ingressClassName: "edge" },
    });
    expect(at(route, "spec", "rules", 0, "http", "paths")).toMatchObject([
      { path: "/space/stage-2", pathType: "Exact" },
      { path: "/space/stage-2/", pathType: "Prefix" },
    ]);
  });

  test("is not made for a service without ingress, nor where there is no way in", () => {
    expect(routeObjects(serviceTask({ ingress: false }), { kind: "gateway", gateway: shared })).toEqual([]);
    expect(routeObjects(serviceTask(), { kind: "none", why: "" })).toEqual([]);
  });

  test("consists of kinds that are looked for when it is to go", () => {
    const routings = [
      { kind: "gateway", gateway: shared },
      { kind: "nginx", ingressClass: "n" },
      { kind: "traefik", ingressClass: "t" },
    ] as const;
    const made = routings.flatMap((routing) => routeObjects(serviceTask(), routing)).map(({ kind }) => kind);
    expect(new Set(routeKinds.map(({ kind }) => kind))).toEqual(new Set(made));
  });
});
