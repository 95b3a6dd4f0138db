import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { eventually } from "../support/bodywork.ts";
import { cluster } from "../support/cluster.ts";

describe.skipIf(cluster === undefined)("the cluster of the tests", () => {
  test("a namespace is listed while it is there, with what is in it", async () => {
    if (cluster === undefined) return;
    const name = await cluster.makeNamespace("bw-support");
    await cluster.kubectl("create", "configmap", "one", "--namespace", name);
    const during = await cluster.inventory();
    await cluster.deleteNamespace(name);
    expect(during.filter((line) => line.includes(name))).toEqual([
      `ConfigMap ${name}/one`,
      `Namespace -/${name}`,
    ]);
    expect((await cluster.inventory()).filter((line) => line.includes(name))).toEqual([]);
  }, 60_000);

  test("pods run its image, reach this machine and are reached from outside", async () => {
    if (cluster === undefined) return;
    const { address, image, ingress } = cluster;
    const namespace = await cluster.namespace("bw-support");
    const asked = await listen(address);
    const port = 5000;
    const program = [
      "import urllib.request, http.server",
      `urllib.request.urlopen("${asked.url}", timeout=10).read()`,
      `http.server.test(http.server.SimpleHTTPRequestHandler, port=${port}, bind="0.0.0.0")`,
    ].join("\n");
    await cluster.kubectl(
      ...["run", "probe", "--namespace", namespace, `--image=${image}`, "--image-pull-policy=IfNotPresent"],
      ...[`--port=${port}`, "--expose", "--command", "--", "python3", "-c", program],
    );
    await cluster.kubectlWithInput(route(namespace, port), "apply", "--filename", "-");
    await eventually(async () => (await fetch(`${ingress}/${namespace}/probe/`)).ok, 60);
    expect(asked.requests()).toBe(1);
  }, 120_000);
});

async function listen(host: string) {
  let requests = 0;
  const server = createServer((_, response) => {
    requests += 1;
    response.end("here");
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://${host}:${(server.address() as AddressInfo).port}/`, requests: () => requests };
}

function route(namespace: string, port: number): string {
  return JSON.stringify({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "probe", namespace },
    spec: {
      parentRefs: [{ namespace: "traefik-test", name: "traefik" }],
      rules: [
        {
          matches: [{ path: { type: "PathPrefix", value: `/${namespace}/probe` } }],
          filters: [
            {
              type: "URLRewrite",
              urlRewrite: { path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/" } },
            },
          ],
          backendRefs: [{ name: "probe", port }],
        },
      ],
    },
  });
}
