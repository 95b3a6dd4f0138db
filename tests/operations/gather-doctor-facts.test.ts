import { chmodSync, existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { diagnose } from "../../src/core/doctor.ts";
import { Failure } from "../../src/core/failure.ts";
import { type DoctorParts, gatherDoctorFacts } from "../../src/operations/gather-doctor-facts.ts";
import type { ServerStatus } from "../../src/operations/operations.ts";
import { temporaryFolder } from "../support/temporary.ts";

const stopped: ServerStatus = {
  ...{ running: false, pid: undefined, version: undefined, home: "", api: undefined },
  ...{ ingress: undefined, ingressRunning: false, startedAt: undefined },
};

function partsOf(change: Partial<DoctorParts> = {}): DoctorParts {
  const home = join(temporaryFolder("doctor"), "home");
  return {
    home,
    temporaryFolder: tmpdir(),
    variables: { PATH: process.env.PATH ?? "" },
    version: "4.0.0",
    pythonPaths: ["/no/such/python", "python3"],
    uvPaths: ["/no/such/uv"],
    listen: { host: "127.0.0.1", port: 0 },
    server: { status: async () => stopped },
    remote: undefined,
    kubeconfigVariable: undefined,
    kubeconfigFile: undefined,
    storeFile: join(home, "store.db"),
    storeDamage: () => undefined,
    settings: undefined,
    engine: { engine: "local", why: "there is no kubeconfig on this machine" },
    masterKeys: () => new Set(),
    missingKeys: async (needed) => [...needed],
    ...change,
  };
}

test("this machine can deploy, and a home folder that is not there is not made", async () => {
  const parts = partsOf();
  const facts = await gatherDoctorFacts(parts);
  expect(facts.git).toMatch(/^\d+\.\d+/);
  expect(facts.pythons).toEqual([{ path: "python3", version: expect.stringMatching(/^3\.\d+\.\d+/) }]);
  expect(facts).toMatchObject({ uv: undefined, files: [], store: undefined });
  expect(facts.disks.map(({ folder }) => folder)).toEqual([parts.home, tmpdir()]);
  expect(facts.clock.diskSeconds).toBeCloseTo(0, 0);
  expect(diagnose(facts).filter(({ level }) => level === "problem")).toEqual([]);
  expect(existsSync(parts.home)).toBe(false);
});

test("an empty PATH has no git", async () => {
  const facts = await gatherDoctorFacts(partsOf({ variables: { PATH: "/no/such/folder" } }));
  expect(facts).toMatchObject({ git: undefined, pythons: [] });
});

test("files that others can read, the age of what is kept and the size of logs are seen, and nothing is left", async () => {
  const parts = partsOf();
  mkdirSync(join(parts.home, "keys"), { recursive: true, mode: 0o700 });
  writeFileSync(join(parts.home, "login.json"), "{}", { mode: 0o644 });
  chmodSync(join(parts.home, "login.json"), 0o644);
  writeFileSync(parts.storeFile, "12345", { mode: 0o600 });
  const tomorrow = Date.now() / 1_000 + 86_400;
  utimesSync(parts.storeFile, tomorrow, tomorrow);
  const process = join(parts.home, "runs/run-1/train/attempt-1/process");
  mkdirSync(process, { recursive: true });
  writeFileSync(join(process, "log"), "x".repeat(1_000));
  const before = readdirSync(parts.home).sort();
  const facts = await gatherDoctorFacts({ ...parts, storeDamage: (file) => `odd: ${file}` });
  expect(facts.files).toContainEqual({
    path: join(parts.home, "login.json"),
    mode: 0o644,
    isOurs: true,
    isPrivate: true,
  });
  expect(facts.clock.futureSeconds).toBeGreaterThan(86_000);
  expect(facts.store).toEqual({ path: parts.storeFile, bytes: 5, damage: `odd: ${parts.storeFile}` });
  expect(facts.logs).toEqual([{ path: join(parts.home, "runs"), bytes: 1_000 }]);
  expect(readdirSync(parts.home).sort()).toEqual(before);
});

test("the keys of the secrets are looked for when there is a store that can be read", async () => {
  const parts = partsOf({ masterKeys: () => new Set(["0f0f0f0f"]) });
  const none = { sealedWith: [], missing: [], failure: undefined };
  expect((await gatherDoctorFacts(parts)).secrets).toEqual(none);
  mkdirSync(parts.home);
  writeFileSync(parts.storeFile, "", { mode: 0o600 });
  const gone = { ...none, sealedWith: ["0f0f0f0f"], missing: ["0f0f0f0f"] };
  expect((await gatherDoctorFacts(parts)).secrets).toEqual(gone);
  expect((await gatherDoctorFacts({ ...parts, storeDamage: () => "odd" })).secrets).toEqual(none);
  const refused = () => Promise.reject(new Failure("secret-key", "No key."));
  const failing = await gatherDoctorFacts({ ...parts, missingKeys: refused });
  expect(failing.secrets).toEqual({ ...none, failure: "No key." });
});

test("a port that another program has is told apart from our own ingress and from a free one", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void other.close());
  const listen = { host: "127.0.0.1", port: (other.address() as AddressInfo).port };
  const address = `127.0.0.1:${listen.port}`;
  expect((await gatherDoctorFacts(partsOf({ listen }))).ingress).toEqual({
    address,
    state: "taken",
    note: undefined,
  });
  const server = { status: async () => ({ ...stopped, ingressRunning: true, ingressNote: "moved" }) };
  const ours = await gatherDoctorFacts(partsOf({ listen, server }));
  expect(ours.ingress).toEqual({ address, state: "ours", note: "moved" });
  expect((await gatherDoctorFacts(partsOf())).ingress.state).toBe("free");
});

test("a server that is silent, that refuses, and that answers are told apart", async () => {
  const parts = partsOf();
  mkdirSync(parts.home);
  writeFileSync(join(parts.home, "server.json"), JSON.stringify({ pid: process.pid }), { mode: 0o600 });
  expect((await gatherDoctorFacts(parts)).server.silentPid).toBe(process.pid);
  const refusing = { status: () => Promise.reject(new Failure("not-allowed", "Wrong token.")) };
  const remote = await gatherDoctorFacts({ ...parts, server: refusing, remote: "https://b.test" });
  expect(remote.server).toMatchObject({
    remote: "https://b.test",
    failure: "Wrong token.",
    silentPid: undefined,
  });
  const answering = { status: async () => ({ ...stopped, running: true, version: "4.0.0" }) };
  const { server } = await gatherDoctorFacts({ ...parts, server: answering });
  expect(server).toMatchObject({ version: "4.0.0", silentPid: undefined, failure: undefined });
  expect(server.answeredAfter).toBeGreaterThanOrEqual(0);
});

test("a cluster is asked through kubectl when there is a kubeconfig", async () => {
  const bin = temporaryFolder("kubectl");
  const script = [
    "#!/bin/sh",
    'echo "{ \\"clientVersion\\": { \\"gitVersion\\": \\"v1.34.1\\" } }"',
    'case "$*" in *--client*) exit 0;; esac',
    'echo "$KUBECONFIG: connection refused" >&2',
    "exit 1",
    "",
  ];
  writeFileSync(join(bin, "kubectl"), script.join("\n"), { mode: 0o755 });
  const variables = { PATH: `${bin}:${process.env.PATH}` };
  const facts = await gatherDoctorFacts(partsOf({ variables, kubeconfigFile: "/my/config" }));
  expect(facts.cluster).toEqual({
    kubeconfig: "/my/config",
    unreadable: undefined,
    kubectl: "v1.34.1",
    answer: { reached: false, text: "/my/config: connection refused" },
  });
  const unreadable = await gatherDoctorFacts(partsOf({ variables, kubeconfigVariable: "/no/config" }));
  expect(unreadable.cluster).toMatchObject({ kubeconfig: undefined, unreadable: "/no/config" });
});
