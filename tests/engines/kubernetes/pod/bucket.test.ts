import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";

import type { StageOutput } from "../../../../src/core/run-state.ts";
import type { PodSpecification } from "../../../../src/engines/kubernetes/pod/pod-contract.ts";
import { createUvEnvironments } from "../../../../src/environments/uv-environments.ts";
import { settled } from "../../../environments/support/machine.ts";
import { machineVariables } from "../../local/name-hook/support/environment.ts";
import { archiveOf, makePod } from "./support.ts";

const fixture = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
const top = realpathSync(mkdtempSync(join(tmpdir(), "buckets-")));

interface ObjectStorage {
  readonly endpoint: string;
  readonly id: string;
  readonly secret: string;
}

let moto: ObjectStorage;
let end = async (): Promise<void> => {};

beforeAll(async () => {
  const environments = createUvEnvironments({
    folder: join(top, "environments"),
    toolsFolder: join(top, "tools"),
    environment: machineVariables(),
    startupPth: "",
  });
  const { python } = await environments.prepare({
    requirements: [],
    requirementsFile: readFileSync(fixture("bucket.txt"), "utf8"),
    python: undefined,
    notebook: false,
  });
  const child = spawn(python, [fixture("bucket.py")], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  end = async () => {
    child.stdin.end();
    await exited;
  };
  const [line] = await once(createInterface(child.stdout), "line");
  moto = JSON.parse(line as string) as ObjectStorage;
}, 300_000);

afterAll(async () => {
  await end();
  await settled(join(top, "environments"));
  rmSync(top, { recursive: true, force: true, maxRetries: 3 });
}, 60_000);

function bucketAt(endpoint: string, prefix = "team/bodywork"): PodSpecification["storage"] {
  return { kind: "s3", bucket: "models", endpoint, region: "eu-west-1", prefix };
}

function keysOf({ id, secret }: ObjectStorage): Readonly<Record<string, string>> {
  return { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret };
}

const training = {
  "main.py": `
import os
with open("big model.bin", "wb") as file: file.write(b"0123456789" * 8_000_000)
open("empty", "w")
os.makedirs("out/deep")
open("out/deep/grüße.sh", "w").write("#!/bin/sh")
os.chmod("out/deep/grüße.sh", 0o755)
os.symlink("deep/grüße.sh", "out/latest")
os.mkdir("out/none")
`,
};

const outputs = { model: "big model.bin", empty: "empty", out: "out" };

test("outputs are kept in a bucket, large ones in parts, and placed for the next stage", async () => {
  const first = await makePod(training);
  const storage = bucketAt(moto.endpoint);
  const made = await first.run({ specification: { outputs, storage }, variables: keysOf(moto) });
  expect(made.report, made.log).toMatchObject({ status: "succeeded" });
  const kept = made.report?.outputs as readonly StageOutput[];
  const claim = await makePod(training);
  const local = await claim.run({ specification: { outputs, storage: { kind: "claim" } } });
  expect(kept).toEqual(local.report?.outputs);
  const second = await makePod({
    "main.py": `
import os
print(os.path.getsize("model"), os.path.getsize("empty"), sorted(os.listdir("in/out")), os.readlink("in/out/latest"))
print(os.access("in/out/latest", os.X_OK), "AWS_SECRET_ACCESS_KEY" in os.environ, "BODYWORK_STORAGE_SECRET_ACCESS_KEY" in os.environ)
`,
  });
  const paths: Readonly<Record<string, string>> = { model: "model", empty: "empty", out: "in/out" };
  const inputs = kept.map((output) => ({ ...output, path: paths[output.name] as string }));
  const own = { BODYWORK_STORAGE_ACCESS_KEY_ID: moto.id, BODYWORK_STORAGE_SECRET_ACCESS_KEY: moto.secret };
  const placed = await second.run({ specification: { inputs, storage }, variables: own });
  expect(placed.log).toContain("80000000 0 ['deep', 'latest', 'none'] deep/grüße.sh\nTrue False False\n");
  expect(placed.report).toMatchObject({ status: "succeeded" });
  // Keys of the stage's own, for another account, are not mixed with the storage's.
  const stranger = { AWS_ACCESS_KEY_ID: "other", AWS_SECRET_ACCESS_KEY: "other", AWS_SESSION_TOKEN: "other" };
  const both = await second.run({ specification: { inputs, storage }, variables: { ...own, ...stranger } });
  expect(both.report, both.log).toMatchObject({ status: "succeeded" });
  // It is there already.
  const again = await first.run({ specification: { outputs, storage }, variables: keysOf(moto) });
  expect(again.report?.outputs).toEqual(kept);
}, 120_000);

test("a key that the bucket does not take fails the stage, which says so", async () => {
  const pod = await makePod({ "main.py": "open('a', 'w')" });
  const run = { outputs: { a: "a" }, storage: bucketAt(moto.endpoint) };
  const wrong = keysOf({ ...moto, secret: "wrong" });
  const { report } = await pod.run({ specification: run, variables: wrong });
  expect(report).toMatchObject({ status: "failed", phase: "outputs" });
  expect(report?.reason).toMatch(
    /^output "a" \(a\): cannot write to the bucket models at http:\/\/127\.0\.0\.1:\d+: HTTP 403: SignatureDoesNotMatch/,
  );
  const none = await pod.run({ specification: run });
  expect(none.report?.reason).toContain("the pod has no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
});

test("what the bucket does not have is missing, and a bucket that is not there is named", async () => {
  const pod = await makePod({ "main.py": "open('a', 'w')" });
  const input = { name: "a", path: "a", digest: `sha256:${"0".repeat(64)}`, kind: "file", bytes: 0 } as const;
  const absent = await pod.run({
    specification: { inputs: [input], storage: bucketAt(moto.endpoint) },
    variables: keysOf(moto),
  });
  expect(absent.report).toMatchObject({
    phase: "inputs",
    reason: `The artifact ${input.digest} is not in the store.`,
  });
  const storage = { ...bucketAt(moto.endpoint), bucket: "nowhere" } as PodSpecification["storage"];
  const nowhere = await pod.run({ specification: { inputs: [input], storage }, variables: keysOf(moto) });
  expect(nowhere.report?.reason).toMatch(/^cannot read from the bucket nowhere .*NoSuchBucket/);
});

/** A bucket in memory whose first answers are these: a status, or nothing but a broken connection. */
async function stumblingBucket(...faults: readonly (number | "broken" | "short")[]) {
  const left = [...faults];
  const objects = new Map<string, Buffer>();
  const seen: string[] = [];
  const server = createServer(async (request, response) => {
    const body: Buffer[] = [];
    for await (const chunk of request) body.push(chunk as Buffer);
    seen.push(`${request.method} ${request.url}`);
    const fault = request.method === "HEAD" ? undefined : left.shift();
    if (fault === "broken") return response.destroy();
    if (typeof fault === "number") {
      response.writeHead(fault).end("<Error><Code>SlowDown</Code><Message>Please wait</Message></Error>");
      return;
    }
    const path = request.url as string;
    if (request.method === "PUT") objects.set(path, Buffer.concat(body));
    const content = objects.get(path);
    if (content === undefined) return response.writeHead(404).end();
    response.setHeader("Content-Length", content.length);
    if (fault === "short") return response.write(content.subarray(1), () => response.destroy());
    response.end(request.method === "GET" ? content : undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, objects, seen };
}

const anyKeys = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" };

test("what fails in passing is tried again, up to five times", async () => {
  const { endpoint, objects } = await stumblingBucket(503, "broken", 500);
  const pod = await makePod({ "main.py": "open('a', 'w').write('content')" });
  const run = { outputs: { a: "a" }, storage: bucketAt(endpoint) };
  const { report } = await pod.run({ specification: run, variables: anyKeys });
  expect(report).toMatchObject({ status: "succeeded" });
  expect([...objects.values()].map(String)).toEqual(["content"]);
  const worse = await stumblingBucket(503, 503, 503, 503, 503);
  const failed = await pod.run({
    specification: { ...run, storage: bucketAt(worse.endpoint) },
    variables: anyKeys,
  });
  expect(failed.report?.reason).toContain("HTTP 503: SlowDown (Please wait)");
}, 60_000);

test("a commit in the bucket is unpacked from there, also when the connection breaks on the way", async () => {
  const { endpoint, objects, seen } = await stumblingBucket("short");
  objects.set(
    "/models/team/bodywork/commits/1.tar.gz",
    await archiveOf({ "main.py": "print('from the bucket')" }),
  );
  const pod = await makePod({});
  const { log } = await pod.run({
    specification: { storage: bucketAt(endpoint), storedSources: "commits/1.tar.gz" },
    variables: anyKeys,
  });
  expect(log).toContain("from the bucket\n");
  expect(seen).toHaveLength(2);
});
