import { inspect } from "node:util";
import { expect, test } from "vitest";

import { concealed, revealed, SecretValue } from "../../../../src/core/secret-value.ts";
import { ClusterError } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { kinds } from "../../../../src/engines/kubernetes/client/kinds.ts";
import { managementNamespace } from "../../../../src/engines/kubernetes/vocabulary.ts";
import { clearTexts, clusterWithSecrets, kubectlSecret } from "./support.ts";

const login = concealed({ USER: "me", PASSWORD: "a=b=c" });

test("a secret is kept as the original keeps it: GROUP-NAME, Opaque, labelled with its group", async () => {
  const { cluster, secrets } = clusterWithSecrets();
  expect(await secrets.createSecret("dev", " data_base ", login)).toEqual({
    group: "dev",
    name: "data-base",
    version: 1,
    keys: ["PASSWORD", "USER"],
    createdAt: "2026-11-25T12:00:00.000Z",
    updatedAt: "2026-11-25T12:00:00.000Z",
  });
  expect(cluster.objects(kinds.secret)).toMatchObject([
    {
      type: "Opaque",
      metadata: { name: "dev-data-base", namespace: managementNamespace, labels: { group: "dev" } },
      data: { USER: "bWU=", PASSWORD: "YT1iPWM=" },
    },
  ]);
});

test("an update changes the keys that it names, and makes the next version", async () => {
  const { secrets } = clusterWithSecrets();
  await secrets.createSecret("dev", "db", login);
  expect(await secrets.updateSecret("dev", "db", concealed({ PASSWORD: "new", URL: "x" }))).toMatchObject({
    version: 2,
    keys: ["PASSWORD", "URL", "USER"],
  });
  const [found] = await secrets.readSecrets({ group: "dev", name: "db" });
  expect(revealed(found?.data ?? {})).toEqual({ USER: "me", PASSWORD: "new", URL: "x" });
});

test("an update that another one overtakes is done on what that left", async () => {
  const { cluster, secrets } = clusterWithSecrets([kubectlSecret("dev-db", { A: "1" }, { group: "dev" })]);
  let overtaken = 0;
  cluster.before = ({ verb }) => {
    if (verb !== "replace" || overtaken > 0) return;
    overtaken += 1;
    cluster.put(kubectlSecret("dev-db", { A: "1", B: "theirs" }, { group: "dev" }));
  };
  await secrets.updateSecret("dev", "db", concealed({ A: "ours" }));
  expect(overtaken).toBe(1);
  expect(clearTexts(cluster, "dev-db", managementNamespace)).toEqual({ A: "ours", B: "theirs" });
});

test("a secret that kubectl has made is one like others: by its name and its label", async () => {
  const { secrets } = clusterWithSecrets([
    kubectlSecret("my-group-db", { USER: "me" }, { group: "my_group" }),
    kubectlSecret("other-name", { USER: "me" }, { group: "dev" }),
    kubectlSecret("dev-unlabelled", { USER: "me" }),
    { ...kubectlSecret("dev-empty", {}, { group: "dev" }), data: undefined },
  ]);
  expect(
    (await secrets.list({})).map(({ group, name, version, keys }) => [group, name, version, keys]),
  ).toEqual([
    ["dev", "empty", 1, []],
    ["my_group", "db", 1, ["USER"]],
  ]);
  expect(await secrets.updateSecret("my_group", "db", concealed({ USER: "you" }))).toMatchObject({
    version: 2,
  });
  expect(await secrets.deleteSecret("my_group", "db")).toEqual({ found: true });
});

test("any group can be, also one that is no label, and none is taken for another", async () => {
  const { secrets } = clusterWithSecrets();
  const groups = ["Prod", "prod", "my group", "our-", "Ärger", "g".repeat(100)];
  for (const group of groups) await secrets.createSecret(group, "db", concealed({ G: group }));
  for (const group of groups) {
    const found = await secrets.readSecrets({ group });
    expect(found.map(({ name, data }) => [name, revealed(data)])).toEqual([["db", { G: group }]]);
  }
  expect(new Set((await secrets.list({})).map(({ group }) => group))).toEqual(new Set(groups));
});

test("a secret that is there is not created again, and one that is not there is not updated", async () => {
  const { secrets } = clusterWithSecrets();
  await secrets.createSecret("dev", "db", login);
  await expect(secrets.createSecret("dev", "db", login)).rejects.toMatchObject({
    code: "already-exists",
    message: "Cannot create secret=db in group=dev as it already exists.",
  });
  await expect(secrets.updateSecret("dev", "nope", login)).rejects.toMatchObject({
    code: "not-found",
    message: "Could not find secret=nope in group=dev",
  });
  expect(await secrets.deleteSecret("dev", "nope")).toEqual({ found: false });
});

test("who has the name that a secret would have in the cluster is named", async () => {
  const { secrets } = clusterWithSecrets([kubectlSecret("dev-x", { A: "1" })]);
  await secrets.createSecret("a", "b-c", login);
  await expect(secrets.createSecret("a-b", "c", login)).rejects.toMatchObject({
    code: "already-exists",
    message: expect.stringContaining(
      "the Secret a-b-c in namespace=bodywork-deployment-jobs is there already, and is secret=b-c in group=a",
    ),
  });
  await expect(secrets.createSecret("dev", "x", login)).rejects.toMatchObject({
    message: expect.stringContaining("no secret of a group"),
  });
});

test("a group goes with all its secrets, which are named, and no other group's", async () => {
  const { secrets } = clusterWithSecrets();
  for (const [group, name] of [
    ["dev", "a"],
    ["dev", "b"],
    ["dev-2", "a"],
  ] as const) {
    await secrets.createSecret(group, name, login);
  }
  expect(await secrets.deleteSecretGroup("dev")).toEqual(["a", "b"]);
  expect(await secrets.deleteSecretGroup("dev")).toEqual([]);
  expect(await secrets.list({})).toMatchObject([{ group: "dev-2", name: "a" }]);
});

test("what cannot be a secret is refused as it is on this machine", async () => {
  const { cluster, secrets } = clusterWithSecrets();
  const usage = (details: readonly unknown[]) => ({ code: "usage", details });
  await expect(secrets.createSecret("a/b", "--", concealed({ "1A": "x" }))).rejects.toMatchObject(
    usage([
      'group "a/b": has a slash',
      'name "--": has no letter and no digit',
      expect.stringContaining('key "1A": is no name of an environment variable'),
    ]),
  );
  await expect(secrets.updateSecret("dev", "db", {})).rejects.toMatchObject(usage(["data: there is none"]));
  await expect(secrets.deleteSecret("dev", "..")).rejects.toMatchObject({ code: "usage" });
  await expect(secrets.deleteSecretGroup("")).rejects.toMatchObject({ code: "usage" });
  expect(cluster.calls.filter((call) => /create|replace|delete/.test(call))).toEqual([]);
});

test("a cluster that is not configured says so", async () => {
  const { cluster, secrets } = clusterWithSecrets();
  cluster.remove(kinds.namespace, { name: managementNamespace });
  await expect(secrets.createSecret("dev", "db", login)).rejects.toMatchObject({
    code: "not-found",
    message: expect.stringContaining("Could not find namespace=bodywork-deployment-jobs on k8s cluster"),
    hint: "Run: bodywork configure-cluster",
  });
  expect(await secrets.list({})).toEqual([]);
});

test("no failure has a value in it, whatever the cluster says", async () => {
  const { cluster, secrets } = clusterWithSecrets([kubectlSecret("dev-db", { A: "x" }, { group: "dev" })]);
  const value = "s3cr3t-and-long";
  const base64 = Buffer.from(value).toString("base64");
  cluster.before = ({ verb }) => {
    if (verb === "get" || verb === "list") return;
    throw new ClusterError("invalid", `Secret is invalid: ${value}`, {
      status: 422,
      causes: [`data: ${base64}`],
    });
  };
  const failures = await Promise.all([
    secrets.createSecret("dev", "new", concealed({ A: value })).catch((error: unknown) => error),
    secrets.updateSecret("dev", "db", concealed({ A: value })).catch((error: unknown) => error),
  ]);
  for (const failure of failures) {
    expect(failure).toMatchObject({ name: "Failure", message: expect.stringContaining("***") });
    const shown = inspect(failure, { depth: 10, showHidden: true });
    expect(shown).not.toContain(value);
    expect(shown).not.toContain(base64);
  }
});

test("bytes that are no text are shown in base64, with a note; a text with a byte order mark is a text", async () => {
  const { secrets } = clusterWithSecrets([
    kubectlSecret("dev-key", { DER: Buffer.from([0xff, 0xfe, 0x00]), BOM: "\ufeffx" }, { group: "dev" }),
  ]);
  const [found] = await secrets.readSecrets({ group: "dev" });
  expect(revealed(found?.data ?? {})).toEqual({ DER: "(no text; in base64:) //4A", BOM: "\ufeffx" });
  await secrets.updateSecret("dev", "key", concealed({ MORE: "m" }));
  const [changed] = await secrets.readSecrets({ group: "dev" });
  expect(revealed(changed?.data ?? {})).toMatchObject({ DER: "(no text; in base64:) //4A", MORE: "m" });
});

test("a key for private repositories is kept once, and again when it is another", async () => {
  const { cluster, secrets } = clusterWithSecrets();
  expect(await secrets.hasSshKey("dev")).toBe(false);
  await secrets.keepSshKey("dev", new SecretValue("first"));
  await secrets.keepSshKey("dev", new SecretValue("first"));
  expect(await secrets.list({})).toMatchObject([{ group: "dev", name: "ssh-git-private-key", version: 1 }]);
  await secrets.keepSshKey("dev", new SecretValue("second"));
  expect(await secrets.hasSshKey("dev")).toBe(true);
  expect(clearTexts(cluster, "dev-ssh-git-private-key", managementNamespace)).toEqual({
    BODYWORK_GIT_SSH_PRIVATE_KEY: "second",
  });
});
