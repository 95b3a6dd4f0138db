import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createImages } from "../../../../src/engines/kubernetes/images/check-image.ts";

const digest = `sha256:${"0a".repeat(32)}`;
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Asked {
  readonly method: string;
  /** As it would be outside of the test: `https://ghcr.io/v2/…`. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
}

/** All hosts of the world in one server, which answers by the whole URL. */
async function world(
  answers: Readonly<Record<string, (response: ServerResponse, asked: Asked) => void>>,
): Promise<{ asked: Asked[]; images: ReturnType<typeof createImages> }> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const url = decodeURIComponent(String(request.headers["x-asked-for"]));
    const question = { method: request.method ?? "", url, headers: request.headers };
    asked.push(question);
    const answer = answers[url];
    if (answer === undefined) response.writeHead(404).end();
    else answer(response, question);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  closing.push(
    () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  );
  const images = createImages({
    settings: { docker_hub: "https://hub.test/" },
    retryDelay: 1,
    fetch: (input, init) =>
      fetch(`http://127.0.0.1:${port}/`, {
        ...init,
        headers: {
          ...(init?.headers as Record<string, string>),
          "x-asked-for": encodeURIComponent(String(input)),
        },
      }),
  });
  return { asked, images };
}

const check = { check: true };
const pythonTag = "https://hub.test/v2/repositories/library/python/tags/3.11";
const manifest = "https://ghcr.io/v2/us/model/manifests/1";

test("an image of Docker Hub is looked up there, and runs as the digest that its tag has now", async () => {
  const { asked, images } = await world({
    [pythonTag]: (response) => response.end(JSON.stringify({ name: "3.11", digest })),
  });
  expect(await images.resolve("python:3.11", check)).toEqual({ image: `python@${digest}`, warnings: [] });
  expect(await images.resolve("docker.io/python:3.11", check)).toMatchObject({
    image: `docker.io/python@${digest}`,
  });
  expect(asked.map(({ method, url }) => [method, url])).toEqual([
    ["GET", pythonTag],
    ["GET", pythonTag],
  ]);
});

test.each([
  ["no digest", JSON.stringify({ name: "3.11" })],
  ["a digest that is none", JSON.stringify({ digest: "sha256:1 --privileged" })],
  ["no JSON", "<html>"],
  ["more than anybody reads", `{"digest": "${digest}", "x": "${"x".repeat(1024 * 1024)}"}`],
])("with %s in the answer the image stays as it is written", async (_what, body) => {
  const { images } = await world({ [pythonTag]: (response) => response.end(body) });
  expect(await images.resolve("python:3.11", check)).toEqual({ image: "python:3.11", warnings: [] });
});

test("an image that Docker Hub does not have is a failure, unless pods may have secrets for it", async () => {
  const { asked, images } = await world({});
  const failure = { code: "image-missing", message: "Cannot locate us/model:7 on DockerHub" };
  await expect(images.resolve("us/model:7", check)).rejects.toMatchObject(failure);
  expect(asked).toHaveLength(1);
  await expect(images.resolve("python:9", check)).rejects.toMatchObject({
    message: "Cannot locate python:9 on DockerHub",
  });
  expect(await images.resolve("us/model:7", { check: true, hasPullSecrets: true })).toEqual({
    image: "us/model:7",
    warnings: [
      "Cannot locate us/model:7 on DockerHub; perhaps it is one that image_pull_secrets give access to.",
    ],
  });
});

test("Docker Hub is asked three times while it is out of order", async () => {
  let times = 0;
  const { asked, images } = await world({
    [pythonTag]: (response) => {
      times += 1;
      if (times < 3) response.writeHead(503).end();
      else response.end(JSON.stringify({ digest }));
    },
  });
  expect(await images.resolve("python:3.11", check)).toMatchObject({ image: `python@${digest}` });
  times = -10;
  expect(await images.resolve("python:3.11", check)).toEqual({
    image: "python:3.11",
    warnings: [`Not known whether the image python:3.11 exists: ${pythonTag} answers 503.`],
  });
  expect(asked).toHaveLength(6);
});

test("without a network the image is taken as it is, with a warning", async () => {
  const port = await closedPort();
  const images = createImages({
    settings: { docker_hub: `http://127.0.0.1:${port}` },
    retryDelay: 1,
    fetch: (_input, init) => fetch(`http://127.0.0.1:${port}/`, init),
  });
  const { image, warnings } = await images.resolve("python:3.11", check);
  expect(image).toBe("python:3.11");
  const url = `http://127.0.0.1:${port}/v2/repositories/library/python/tags/3.11`;
  expect(warnings).toEqual([expect.stringContaining(`cannot connect to ${url} (connect ECONNREFUSED`)]);
  expect((await images.resolve("registry.test/model:1", check)).warnings).toEqual([
    expect.stringContaining("cannot connect to https://registry.test/v2/model/manifests/1 (connect"),
  ]);
});

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("nothing is asked when it shall not be, when a digest names the image, and of the nodes' own registry", async () => {
  const { asked, images } = await world({});
  for (const image of [`us/model@${digest}`, "localhost:5000/model:1", "127.0.0.1:5000/model"]) {
    expect(await images.resolve(image, check)).toEqual({ image, warnings: [] });
  }
  expect(await images.resolve("us/model:7", { check: false })).toEqual({ image: "us/model:7", warnings: [] });
  expect(asked).toEqual([]);
  await expect(images.resolve("Bad/", { check: false })).rejects.toMatchObject({ code: "project-invalid" });
});

test("another registry is asked for the manifest, with the token that it gives to anybody", async () => {
  const tokenUrl = "https://auth.test/token?service=ghcr&scope=repository%3Aus%2Fmodel%3Apull";
  const { asked, images } = await world({
    [manifest]: (response, { headers }) => {
      if (headers.authorization === "Bearer for-anybody") {
        response.setHeader("docker-content-digest", digest).end();
      } else {
        const challenge = 'Bearer realm="https://auth.test/token",service="ghcr",scope="something:else"';
        response.writeHead(401, { "www-authenticate": challenge }).end();
      }
    },
    [tokenUrl]: (response) => response.end(JSON.stringify({ token: "for-anybody" })),
  });
  expect(await images.resolve("ghcr.io/us/model:1", check)).toEqual({
    image: `ghcr.io/us/model@${digest}`,
    warnings: [],
  });
  expect(asked.map(({ method, url }) => [method, url])).toEqual([
    ["HEAD", manifest],
    ["GET", tokenUrl],
    ["HEAD", manifest],
  ]);
  expect(asked[0]?.headers.accept).toMatch(/^application\/vnd\.oci\.image\.index\.v1\+json,/);
  expect(asked.slice(0, 2).map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
});

test("what another registry does not have is missing; what it does not show is a warning", async () => {
  const { images } = await world({
    [manifest]: (response) => response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end(),
    "https://quay.io/v2/us/model/manifests/1": (response) => response.writeHead(403).end(),
  });
  await expect(images.resolve("ghcr.io/us/other:1", check)).rejects.toMatchObject({
    code: "image-missing",
    message: "The registry ghcr.io has no image us/other:1",
    hint: expect.stringContaining("image_pull_secrets"),
  });
  expect((await images.resolve("ghcr.io/us/model:1", check)).warnings).toEqual([
    `Not known whether the image ghcr.io/us/model:1 exists: ${manifest} answers 401 to who has no account there.`,
  ]);
  expect((await images.resolve("quay.io/us/model:1", check)).warnings).toEqual([
    expect.stringContaining("answers 403"),
  ]);
});

test.each([
  ["without TLS", 'Bearer realm="http://auth.test/token"'],
  ["with credentials in it", 'Bearer realm="https://me:pw@auth.test/token"'],
  ["that is no address", 'Bearer realm="nowhere"'],
])("no token is fetched from a place %s", async (_what, challenge) => {
  const { asked, images } = await world({
    [manifest]: (response) => response.writeHead(401, { "www-authenticate": challenge }).end(),
  });
  expect((await images.resolve("ghcr.io/us/model:1", check)).warnings).toHaveLength(1);
  expect(asked).toHaveLength(1);
});

test("redirects are followed three times, without the token to another host, and never out of TLS", async () => {
  const to = (place: string) => (response: ServerResponse) =>
    response.writeHead(307, { location: place }).end();
  const tokenUrl = "https://ghcr.io/token?scope=repository%3Aus%2Fmodel%3Apull";
  const { asked, images } = await world({
    [manifest]: (response, { headers }) =>
      headers.authorization === undefined
        ? response.writeHead(401, { "www-authenticate": 'Bearer realm="https://ghcr.io/token"' }).end()
        : to("https://cdn.test/blob")(response),
    [tokenUrl]: (response) => response.end(JSON.stringify({ access_token: "abc" })),
    "https://cdn.test/blob": (response) => response.setHeader("docker-content-digest", digest).end(),
    "https://loop.test/v2/m/manifests/latest": to("/v2/m/manifests/latest"),
    "https://plain.test/v2/m/manifests/latest": to("http://plain.test/v2/m/manifests/latest"),
  });
  expect(await images.resolve("ghcr.io/us/model:1", check)).toMatchObject({
    image: `ghcr.io/us/model@${digest}`,
  });
  expect(asked.at(-2)?.headers.authorization).toBe("Bearer abc");
  expect(asked.at(-1)).toMatchObject({ url: "https://cdn.test/blob" });
  expect(asked.at(-1)?.headers.authorization).toBeUndefined();
  asked.length = 0;
  expect((await images.resolve("loop.test/m", check)).warnings).toEqual([
    expect.stringContaining("redirects more than 3 times"),
  ]);
  expect(asked).toHaveLength(4);
  expect((await images.resolve("plain.test/m", check)).warnings).toEqual([
    expect.stringContaining("without TLS"),
  ]);
});

test("who cancels does not wait for a registry that says nothing", async () => {
  const stop = new AbortController();
  const { images } = await world({ [manifest]: () => stop.abort(new Error("cancelled by hand")) });
  const resolving = images.resolve("ghcr.io/us/model:1", { check: true, signal: stop.signal });
  await expect(resolving).rejects.toThrow("cancelled by hand");
});
