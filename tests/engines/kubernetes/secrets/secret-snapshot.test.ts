import { expect, test } from "vitest";

import { concealed, revealed, SecretValue } from "../../../../src/core/secret-value.ts";
import { ClusterError } from "../../../../src/engines/kubernetes/client/cluster.ts";
import { managementNamespace } from "../../../../src/engines/kubernetes/vocabulary.ts";
import { keepSshKey } from "../../../../src/operations/keep-ssh-key.ts";
import { clearTexts, clusterWithSecrets, kubectlSecret } from "./support.ts";

test("what was loaded is there at once, of all groups or of one", async () => {
  const { cluster, secrets } = clusterWithSecrets([
    kubectlSecret("dev-db", { USER: "me" }, { group: "dev" }),
    kubectlSecret("prod-db", { USER: "you" }, { group: "prod" }),
  ]);
  expect(secrets.secrets({})).toEqual([]);
  await secrets.load({});
  expect(secrets.secrets({}).map(({ group, name }) => [group, name])).toEqual([
    ["dev", "db"],
    ["prod", "db"],
  ]);
  expect(secrets.secrets({ group: "prod", name: "db" })).toHaveLength(1);
  expect(revealed(secrets.read("prod", "db") ?? {})).toEqual({ USER: "you" });
  cluster.put(kubectlSecret("dev-db", { USER: "changed" }, { group: "dev" }));
  cluster.put(kubectlSecret("prod-db", { USER: "changed" }, { group: "prod" }));
  await secrets.load({ group: "dev" });
  expect(secrets.reveal({ group: "dev", name: "db", version: 1, key: "USER" }).reveal()).toBe("changed");
  expect(secrets.reveal({ group: "prod", name: "db", version: 1, key: "USER" }).reveal()).toBe("you");
});

test("what is changed shows at once, and is in the cluster when it has settled", async () => {
  const { cluster, secrets } = clusterWithSecrets();
  await secrets.load({});
  secrets.create("dev", "db", concealed({ A: "1" }));
  expect(secrets.update("dev", "db", concealed({ B: "2" }))).toMatchObject({ version: 2, keys: ["A", "B"] });
  expect(revealed(secrets.read("dev", "db") ?? {})).toEqual({ A: "1", B: "2" });
  await secrets.settled();
  expect(clearTexts(cluster, "dev-db", managementNamespace)).toEqual({ A: "1", B: "2" });
  expect(secrets.remove("dev", "db")).toBe(true);
  expect(secrets.remove("dev", "db")).toBe(false);
  await secrets.load({});
  expect(secrets.secrets({})).toEqual([]);
  expect(clearTexts(cluster, "dev-db", managementNamespace)).toBeUndefined();
});

test("a key that a deployment brings along is in the copies that are made right afterwards", async () => {
  const { cluster, secrets } = clusterWithSecrets();
  await secrets.load({});
  expect(keepSshKey("dev", new SecretValue("the key"), secrets)).toBe(true);
  expect(keepSshKey("dev", new SecretValue("the key"), secrets)).toBe(false);
  expect(await secrets.replicate("dev", "sea")).toBe(1);
  expect(clearTexts(cluster, "ssh-git-private-key")).toEqual({ BODYWORK_GIT_SSH_PRIVATE_KEY: "the key" });
});

test("a secret that somebody else has made meanwhile gets the keys", async () => {
  const { cluster, secrets } = clusterWithSecrets();
  await secrets.load({});
  cluster.put(kubectlSecret("dev-db", { THEIRS: "1" }, { group: "dev" }));
  secrets.create("dev", "db", concealed({ OURS: "2" }));
  await secrets.settled();
  expect(clearTexts(cluster, "dev-db", managementNamespace)).toEqual({ THEIRS: "1", OURS: "2" });
});

test("a change that could not be written is not passed over", async () => {
  const { cluster, secrets } = clusterWithSecrets();
  await secrets.load({});
  cluster.before = ({ verb }) => {
    if (verb === "create") throw new ClusterError("forbidden", "secrets is forbidden", { status: 403 });
  };
  secrets.create("dev", "db", concealed({ A: "1" }));
  const failure = { name: "Failure", message: expect.stringContaining("create secret=db in group=dev") };
  await expect(secrets.settled()).rejects.toMatchObject(failure);
  await expect(secrets.replicate("dev", "sea")).rejects.toMatchObject(failure);
});

test("a secret that a person has made in the pipeline's namespace serves any group that lacks it", async () => {
  const { secrets } = clusterWithSecrets([
    kubectlSecret("db", { USER: "by hand" }, { namespace: "sea" }),
    kubectlSecret("token", { T: "by hand" }, { namespace: "sea" }),
    kubectlSecret("dev-db", { USER: "of the group" }, { group: "dev" }),
  ]);
  await secrets.load({ namespace: "sea" });
  expect(secrets.secrets({ group: "dev" }).map(({ group, name }) => [group, name])).toEqual([
    ["dev", "db"],
    ["dev", "token"],
  ]);
  expect(secrets.secrets({ group: "prod", name: "db" })).toMatchObject([
    { group: "prod", name: "db", version: 0 },
  ]);
  const value = (group: string, name: string, key: string): string =>
    secrets.reveal({ group, name, key, version: 1 }).reveal();
  expect(value("dev", "db", "USER")).toBe("of the group");
  expect(value("prod", "db", "USER")).toBe("by hand");
  // They are no group's, and no list shows them.
  expect(secrets.secrets({})).toMatchObject([{ group: "dev", name: "db" }]);
  expect(await secrets.list({})).toHaveLength(1);
});

test("a copy satisfies nothing, but what runs with it can still be told from it", async () => {
  const { secrets } = clusterWithSecrets();
  await secrets.createSecret("dev", "db", concealed({ USER: "me" }));
  await secrets.replicate("dev", "sea");
  await secrets.deleteSecret("dev", "db");
  await secrets.load({ namespace: "sea" });
  expect(secrets.secrets({ group: "dev" })).toEqual([]);
  const reference = { group: "dev", name: "db", version: 1, key: "USER" };
  expect(secrets.reveal(reference).reveal()).toBe("me");
  expect(() => secrets.reveal({ ...reference, key: "PASSWORD" })).toThrow(
    expect.objectContaining({ code: "secret-missing", message: expect.stringContaining('"PASSWORD"') }),
  );
});
