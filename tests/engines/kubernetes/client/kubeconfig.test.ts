import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";

import { inClusterServer } from "../../../../src/engines/kubernetes/client/client-library.ts";
import { connectCluster } from "../../../../src/engines/kubernetes/client/connect.ts";
import { createCredentials } from "../../../../src/engines/kubernetes/client/credentials.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import { readKubeconfig } from "../../../../src/engines/kubernetes/client/kubeconfig.ts";
import { startScriptedApi } from "../../../support/scripted-api.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { connected, scripted } from "./scripted.ts";

type Part = Readonly<Record<string, unknown>>;

function config({
  server = "https://one.example:6443",
  cluster = {},
  user = {},
  name = "one",
  current = "one",
}: {
  readonly server?: string;
  readonly cluster?: Part;
  readonly user?: Part;
  readonly name?: string;
  readonly current?: string;
} = {}): string {
  return JSON.stringify({
    "current-context": current,
    clusters: [{ name, cluster: { server, ...cluster } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    users: [{ name, user }],
  });
}

function written(text: string, folder = temporaryFolder(), name = "config"): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function failureOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return expect.unreachable("it did not fail");
}

test("the current context says where the API server is and who asks; files are beside the kubeconfig", () => {
  const folder = temporaryFolder();
  const path = written(
    config({
      server: "https://one.example:6443/k8s/clusters/c-1/",
      cluster: {
        "certificate-authority": "ca.crt",
        "tls-server-name": "inside",
        "proxy-url": "socks5://p:1",
      },
      user: {
        "client-certificate": "/etc/me.crt",
        "client-key-data": "a2V5",
        tokenFile: "tokens/t",
        as: "other",
      },
    }),
    folder,
  );
  expect(readKubeconfig(path, undefined)).toEqual({
    context: "one",
    server: "https://one.example:6443/k8s/clusters/c-1",
    ca: { file: join(folder, "ca.crt") },
    certificate: { file: "/etc/me.crt" },
    key: { base64: "a2V5" },
    tlsServerName: "inside",
    skipsVerification: false,
    proxy: "socks5://p:1",
    user: { tokenFile: join(folder, "tokens/t"), impersonation: { "Impersonate-User": "other" } },
  });
});

test("of several files the first is right about a name, and those that are not there are passed over", () => {
  const folder = temporaryFolder();
  const files = [
    join(folder, "missing"),
    written(config(), folder, "a"),
    written(config({ server: "https://other.example", current: "two" }), folder, "b"),
    written(config({ server: "https://two.example", name: "two" }), folder, "c"),
  ].join(":");
  expect(readKubeconfig(files, undefined).server).toBe("https://one.example:6443");
  expect(readKubeconfig(files, "two").server).toBe("https://two.example");
});

test.each([
  ["is not there", undefined, undefined, "there is no such file"],
  ["is no YAML", "a: [", undefined, "it is no YAML"],
  ["is no kubeconfig", "[1]", undefined, "its content is wrong"],
  [
    "has a cluster without an address",
    config({ server: "" }),
    undefined,
    "clusters.0.cluster.server is wrong",
  ],
  ["lacks the context that is asked for", config(), "two", "it has no context two"],
  ["has no current context", config({ current: "" }), undefined, "it has no current context"],
  [
    "names a user that is not there",
    config().replace('"users":[{"name":"one"', '"users":[{"name":"x"'),
    undefined,
    "it has no user one",
  ],
])("a kubeconfig that %s is told with its path", (_what, text, context, why) => {
  const path = text === undefined ? join(temporaryFolder(), "config") : written(text);
  const failure = failureOf(() => readKubeconfig(path, context));
  expect(failure).toMatchObject({
    code: "engine-unavailable",
    message: expect.stringContaining(
      `Cannot load authentication credentials from kubeconfig ${path}: ${why}`,
    ),
  });
});

test("the text of a broken kubeconfig is not shown: it may hold a token", () => {
  const failure = failureOf(() =>
    readKubeconfig(written("users:\n  token: sesame\n bad: [sesame"), undefined),
  );
  expect(JSON.stringify([failure, (failure as Error).message])).not.toContain("sesame");
});

test("without a kubeconfig, outside a cluster, there is nothing to connect to", async () => {
  await expect(connectCluster({ inCluster: false, version: "1" })).rejects.toMatchObject({
    code: "engine-unavailable",
    message: expect.stringContaining("Cannot load authentication credentials from kubeconfig"),
  });
});

test("inside a cluster the variables of the pod say where the API server is", () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv("KUBERNETES_SERVICE_HOST", "");
  expect(inClusterServer()).toBeUndefined();
  vi.stubEnv("KUBERNETES_SERVICE_HOST", "fd00::1");
  vi.stubEnv("KUBERNETES_SERVICE_PORT", "443");
  expect(inClusterServer()).toBe("https://[fd00::1]:443");
});

test("a plugin gives the token, is told of the cluster, and is asked again only when that is refused", async () => {
  const { api } = await scripted();
  const folder = dirname(api.kubeconfig);
  const program = written(
    `#!/bin/sh
echo "$KUBERNETES_EXEC_INFO" >> "$(dirname "$0")/asked"
echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "'"$(cat "$(dirname "$0")/now")"'"}}'
`,
    folder,
    "plugin",
  );
  chmodSync(program, 0o755);
  written("token", folder, "now");
  const exec = {
    apiVersion: "client.authentication.k8s.io/v1",
    command: "./plugin",
    provideClusterInfo: true,
  };
  writeFileSync(api.kubeconfig, config({ server: api.url, user: { exec } }));
  const cluster = await connected(api);
  await Promise.all([cluster.list(kinds.pod), cluster.list(kinds.job)]);
  const asked = (): readonly string[] => readFileSync(join(folder, "asked"), "utf8").trim().split("\n");
  expect(asked().map((line) => JSON.parse(line))).toEqual([
    {
      apiVersion: "client.authentication.k8s.io/v1",
      kind: "ExecCredential",
      spec: { interactive: false, cluster: { server: api.url } },
    },
  ]);
  const credentials = createCredentials(readKubeconfig(api.kubeconfig, undefined));
  await Promise.all([credentials.identity(), credentials.identity()]);
  expect(asked()).toHaveLength(2);
  written("renewed", folder, "now");
  api.token = "renewed";
  await cluster.list(kinds.pod);
  expect(asked()).toHaveLength(3);
});

test("a plugin that fails, or is not installed, is told with its own words and how to get it", async () => {
  const exec = { apiVersion: "v1", command: "no-such-plugin", installHint: "Get it at example.com." };
  const missing = createCredentials(readKubeconfig(written(config({ user: { exec } })), undefined));
  await expect(missing.identity()).rejects.toMatchObject({
    code: "engine-unavailable",
    message: expect.stringMatching(/plugin no-such-plugin failed: .*ENOENT \(Get it at example.com\.\)/),
  });
  const failing = { apiVersion: "v1", command: "sh", args: ["-c", "echo not logged in >&2; exit 1"] };
  const credentials = createCredentials(
    readKubeconfig(written(config({ user: { exec: failing } })), undefined),
  );
  await expect(credentials.identity()).rejects.toThrow("its plugin sh failed: not logged in");
});

test("names with passwords, and whom somebody acts as, are sent as Kubernetes wants them", async () => {
  const user = {
    username: "me",
    password: "secret",
    as: "other",
    "as-groups": ["g1", "g2"],
    "as-user-extra": { "a/b": ["c"] },
  };
  const { headers } = await createCredentials(
    readKubeconfig(written(config({ user })), undefined),
  ).identity();
  expect(headers).toEqual({
    Authorization: `Basic ${Buffer.from("me:secret").toString("base64")}`,
    "Impersonate-User": "other",
    "Impersonate-Group": ["g1", "g2"],
    "Impersonate-Extra-a%2Fb": ["c"],
  });
});

test("a certificate that cannot be read is told by its name", async () => {
  const credentials = createCredentials(
    readKubeconfig(written(config({ cluster: { "certificate-authority": "/no/ca.crt" } })), undefined),
  );
  await expect(credentials.identity()).rejects.toThrow("cannot read /no/ca.crt");
});

test("a kubeconfig's proxy is gone through", async () => {
  const api = await startScriptedApi();
  onTestFinished(api.stop);
  let tunnels = 0;
  const proxy = createServer().on("connect", (asked: { url: string }, socket) => {
    tunnels++;
    const [host, port] = asked.url.split(":");
    const upstream = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on("error", () => socket.destroy());
    socket.on("error", () => upstream.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const { port } = proxy.address() as AddressInfo;
  writeFileSync(
    api.kubeconfig,
    config({
      server: api.url,
      cluster: { "proxy-url": `http://127.0.0.1:${port}` },
      user: { token: "token" },
    }),
  );
  const cluster = await connected(api);
  await cluster.list(kinds.pod);
  await cluster.list(kinds.pod);
  expect(tunnels).toBe(1);
  cluster.close();
  proxy.close();
});
