import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";

import type { KubernetesObject } from "../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../src/engines/kubernetes/client/kinds.ts";
import { programName } from "../../../src/engines/kubernetes/pod/program.ts";
import { signedHeaders } from "../../../src/engines/kubernetes/put-object.ts";
import { createSources } from "../../../src/engines/kubernetes/sources.ts";
import { calm, type FakeRooms, fakeRooms, image, only, serveTask, trainTask } from "./support/rooms.ts";

const { commit } = trainTask();
const large = randomBytes(9 * 1024 * 1024);

const partsIn = ({ cluster }: FakeRooms): readonly string[] =>
  cluster.objects(kinds.secret, "space").map(({ metadata }) => metadata.name);

function withArchive(rooms: FakeRooms, archive: Buffer) {
  let asked = 0;
  const parts = {
    ...rooms,
    source: {
      archive: async () => {
        asked += 1;
        return archive;
      },
    },
  };
  return { sources: createSources(parts), asked: () => asked };
}

describe("the commit of a run", () => {
  test("is in the namespace with the program, once, and pods are told where", async () => {
    const rooms = fakeRooms();
    const { sources, asked } = withArchive(rooms, randomBytes(2 * 1024 * 1024));
    await sources.prepare("space", commit, image);
    await sources.prepare("space", commit, image);
    const context = await sources.podContext(trainTask());
    expect(context).toMatchObject({
      program: programName(),
      sources: { kind: "secrets", names: partsIn(rooms) },
    });
    expect(partsIn(rooms)).toHaveLength(3);
    expect(asked()).toBe(1);
    expect(rooms.cluster.objects(kinds.configMap, "space")).toHaveLength(1);
  });

  test("that is there already is not read from the repository again, by another controller neither", async () => {
    const rooms = fakeRooms();
    const archive = randomBytes(2 * 1024 * 1024);
    await withArchive(rooms, archive).sources.prepare("space", commit, image);
    const next = withArchive(rooms, archive);
    await next.sources.podContext(trainTask());
    expect(next.asked()).toBe(0);
    rooms.cluster.remove(kinds.secret, { namespace: "space", name: partsIn(rooms)[1] ?? "" });
    const third = withArchive(rooms, archive);
    await third.sources.podContext(trainTask());
    expect(third.asked()).toBe(1);
    expect(partsIn(rooms)).toHaveLength(3);
  });

  test("that is too large is refused, and what to do is said", async () => {
    const { sources } = withArchive(fakeRooms(), large);
    await expect(sources.prepare("space", commit, image)).rejects.toMatchObject({
      code: "repository-limit",
      message: expect.stringContaining("9.0 MiB"),
      hint: expect.stringContaining("kubernetes.storage"),
    });
  });

  test("goes when nothing needs it any more", async () => {
    const rooms = fakeRooms({ kept_commits: 1 });
    const hashes = ["a", "b", "c", "d"].map((digit) => digit.repeat(40));
    for (const [index, hash] of hashes.entries()) {
      rooms.cluster.put({
        apiVersion: "v1",
        kind: "Secret",
        metadata: {
          name: `part-${hash[0]}`,
          namespace: "space",
          creationTimestamp: `2026-11-25T12:00:0${index}Z`,
          labels: { "bodywork.io/part": "sources", "git-commit-hash": hash },
        },
      });
    }
    const labels = { app: "bodywork", stage: "serve" };
    const task = serveTask({ commit: { ...commit, hash: hashes[0] ?? "" } });
    rooms.cluster.put({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: {
        name: "serve",
        namespace: "space",
        labels,
        annotations: { "bodywork.io/task": JSON.stringify(task) },
      },
    });
    rooms.cluster.put({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: {
        name: "bodywork-program-old",
        namespace: "space",
        labels: { "bodywork.io/part": "program" },
      },
    });
    const unfinished = { commit: { ...commit, hash: hashes[1] } } as never;
    const store = { ...rooms.store, unfinishedRuns: () => [unfinished] };
    await createSources({ ...rooms, store }).sweep("space");
    expect(partsIn(rooms)).toEqual(["part-a", "part-b", "part-d"]);
    expect(rooms.cluster.objects(kinds.configMap, "space")).toEqual([]);
  });

  test("is put into a claim by a Job of its own, which leaves nothing behind", async () => {
    const rooms = fakeRooms({ storage: { claim: "artifacts" } });
    const { sources } = withArchive(rooms, large);
    const done = sources.podContext(trainTask());
    await calm();
    const job = only(rooms.cluster, "job");
    expect(partsIn(rooms)).toHaveLength(11);
    expect(JSON.stringify(job.spec)).toContain('"claimName":"artifacts"');
    rooms.cluster.put({ ...job, status: { conditions: [{ type: "Complete", status: "True" }] } });
    const { sources: place } = await done;
    expect(place).toEqual({ kind: "stored", key: expect.stringMatching(/^commits\/1234567890.*\.tar\.gz$/) });
    expect([...partsIn(rooms), ...rooms.cluster.objects(kinds.job)]).toEqual([]);
  });

  test("that the claim does not take is a failure that names it, and leaves nothing behind", async () => {
    const rooms = fakeRooms({ storage: { claim: "artifacts" } });
    const done = withArchive(rooms, large).sources.podContext(trainTask());
    const failure = expect(done).rejects.toMatchObject({
      code: "cluster-refused",
      message: expect.stringContaining("claim artifacts of namespace space"),
    });
    await calm();
    rooms.clock.pass(301);
    await failure;
    expect([...partsIn(rooms), ...rooms.cluster.objects(kinds.job)]).toEqual([]);
  });
});

describe("a bucket", () => {
  const keys: KubernetesObject = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "dev-bucket", namespace: "bodywork-deployment-jobs" },
    data: {
      AWS_ACCESS_KEY_ID: Buffer.from("id").toString("base64"),
      AWS_SECRET_ACCESS_KEY: Buffer.from("secret").toString("base64"),
    },
  };

  async function bucketServer(status: number) {
    const requests: { readonly url: string; readonly bytes: number; readonly authorization: string }[] = [];
    const server = createServer((request, response) => {
      let bytes = 0;
      request.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
      });
      request.on("end", () => {
        requests.push({ url: request.url ?? "", bytes, authorization: request.headers.authorization ?? "" });
        response.writeHead(status).end("<Error><Code>AccessDenied</Code></Error>");
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const s3 = { bucket: "models", endpoint, secret: "dev/bucket", prefix: "bodywork" };
    return { requests, settings: { storage: { s3 } } };
  }

  test("takes a large commit, signed with the keys of its secret", async () => {
    const { requests, settings } = await bucketServer(200);
    const rooms = fakeRooms(settings);
    rooms.cluster.put(keys);
    const { sources: place } = await withArchive(rooms, large).sources.podContext(trainTask());
    expect(requests).toMatchObject([
      {
        url: `/models/bodywork/${place.kind === "stored" ? place.key : ""}`,
        bytes: large.length,
        authorization: expect.stringMatching(
          /^AWS4-HMAC-SHA256 Credential=id\/\d{8}\/us-east-1\/s3\/aws4_request, /,
        ),
      },
    ]);
  });

  test("that refuses is named, and its keys are not", async () => {
    const { settings } = await bucketServer(403);
    const rooms = fakeRooms(settings);
    rooms.cluster.put(keys);
    await expect(withArchive(rooms, large).sources.podContext(trainTask())).rejects.toMatchObject({
      code: "cluster-refused",
      message: expect.stringMatching(/^Cannot write to the bucket models at .*: HTTP 403 AccessDenied\.$/),
    });
  });

  test("without keys is a failure that says how to make them", async () => {
    const { settings } = await bucketServer(200);
    await expect(
      withArchive(fakeRooms(settings), large).sources.podContext(trainTask()),
    ).rejects.toMatchObject({
      code: "secret-missing",
      hint: expect.stringContaining("bodywork create secret bucket --group dev"),
    });
  });

  /** A PUT of Amazon's own examples without its optional headers; the signature is what Python's hmac makes of it. */
  test("is signed by Amazon's procedure", () => {
    const bucket = {
      endpoint: "https://examplebucket.s3.amazonaws.com",
      bucket: "examplebucket",
      region: "us-east-1",
      id: "AKIAIOSFODNN7EXAMPLE",
      secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    };
    const url = new URL("https://examplebucket.s3.amazonaws.com/test%24file.text");
    const at = new Date("2013-05-24T00:00:00Z");
    expect(signedHeaders(bucket, url, Buffer.from("Welcome to Amazon S3."), at)).toMatchObject({
      authorization: expect.stringMatching(
        /Signature=1e15d288c066d54cc20d8f664ade3fa96e6744b2861304671f6eb633045a2d4a$/,
      ),
      "x-amz-date": "20130524T000000Z",
      "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
    });
  });
});
