import { expect, test } from "vitest";
import { Failure } from "../../src/core/failure.ts";
import { SecretValue } from "../../src/core/secret-value.ts";
import { createAccess } from "../../src/http/access.ts";
import { hashOfToken } from "../../src/operations/access-tokens.ts";
import { testAdmin } from "./support/test-actions.ts";
import { ask, bearing, localToken, startOfTime, testApi } from "./support/test-api.ts";

const day = 86_400;
const isRefused = (code: string) => expect.objectContaining({ name: "Failure", code });

test("a token is made of 256 random bits, shown once, and only its hash is stored", async () => {
  const { client, store } = await testApi();
  const made = await client().createToken({ name: "ci", scopes: ["deploy"], expiresInSeconds: 30 * day });
  const token = made.token.reveal();
  expect(token).toMatch(/^bw_[\w-]{43}$/);
  expect(Buffer.from(token.slice(3), "base64url")).toHaveLength(32);
  expect(made.record).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{8}$/),
    name: "ci",
    scopes: ["deploy"],
    createdAt: "2026-11-25T12:00:00.000Z",
    expiresAt: "2026-12-25T12:00:00.000Z",
  });
  expect(store.tokenOfHash(hashOfToken(token))?.id).toBe(made.record.id);
  expect(JSON.stringify([await client().tokens(), await client().audit({ limit: 100 })])).not.toContain(
    token,
  );
  expect(
    await client(token)
      .runs({})
      .catch((error) => error.code),
  ).toBe("internal"); // It is let in.
});

test("wrong, expired, revoked and under-scoped tokens are refused, each with the reason", async () => {
  const { client, token, advance } = await testApi({
    runs: async () => [],
    deploy: async () => ({ runId: "1" }),
  });
  const expiring = token(["deploy"], { expiresAt: new Date(startOfTime + 60_000).toISOString() });
  const revoked = token(["deploy"]);
  const reader = token(["read"]);
  const request = { url: "https://forge.test/x", branch: undefined, strict: false, startedBy: "command" };
  for (const right of [expiring, revoked, reader]) expect(await client(right).runs({})).toEqual([]);
  await expect(client(reader).deploy(request)).rejects.toMatchObject({
    code: "not-allowed",
    message: "This needs the scope deploy; read (00000002) has read.",
  });
  await expect(client(expiring).readSecrets({ group: "x" })).rejects.toEqual(isRefused("not-allowed"));
  advance(60_000);
  await expect(client(expiring).runs({})).rejects.toEqual(isRefused("not-allowed"));
  expect(await client().revokeToken("00000001")).toEqual({ found: true });
  expect(await client().revokeToken("00000001")).toEqual({ found: false });
  await expect(client(revoked).runs({})).rejects.toEqual(isRefused("not-allowed"));
  await expect(client("wrong").runs({})).rejects.toMatchObject({
    code: "not-allowed",
    message: "The token is wrong, has expired or was revoked.",
  });
});

test("nobody gives a token more than he has himself", async () => {
  const { client, token } = await testApi();
  const wanted = { name: "x", scopes: ["read", "secrets:read"] as const, expiresInSeconds: undefined };
  const admin = client(token(["admin"]));
  await expect(admin.createToken(wanted)).rejects.toEqual(isRefused("not-allowed"));
  expect((await admin.createToken({ ...wanted, scopes: ["admin"] })).record.scopes).toEqual(["admin"]);
  const both = client(token(["admin", "secrets:read"]));
  expect((await both.createToken(wanted)).record).toMatchObject({ scopes: wanted.scopes });
  expect((await client().createToken(wanted)).record.expiresAt).toBeUndefined();
});

test("of a hundred wrong tokens at once ten are told so, and a right one from there is let in all the same", async () => {
  const { api, client, store, token, advance } = await testApi({ runs: async () => [] });
  const right = token(["read"]);
  const wrong = () => ask(`${api}/api/v1/runs`, { headers: bearing(`bw_${Math.random()}`) });
  const count = async (tries: number) => {
    const statuses = (await Promise.all(Array.from({ length: tries }, wrong))).map(({ status }) => status);
    return [401, 429].map((wanted) => statuses.filter((status) => status === wanted).length);
  };
  expect(await count(100)).toEqual([10, 90]);
  expect(store.auditEntries(1_000)).toHaveLength(10);
  expect((await wrong()).headers["retry-after"]).toBe("60");
  expect(await client(right).runs({})).toEqual([]);
  advance(59_999);
  expect(await count(3)).toEqual([0, 3]);
  advance(1);
  expect(await count(30)).toEqual([10, 20]);
});

test("wrong tokens of one network count together, those of all networks have a bound too", () => {
  const store = { tokenOfHash: () => undefined, touchToken() {} };
  const { judge } = createAccess({ store, localToken, now: () => new Date(startOfTime) });
  const told = (addresses: readonly string[]) =>
    addresses.filter((address) => {
      const judged = judge("Bearer x", address);
      return judged.kind === "refused" && judged.told;
    }).length;
  const times = (count: number, address: (index: number) => string) =>
    Array.from({ length: count }, (_, i) => address(i));
  expect(told(times(50, (index) => `2001:db8:1:2::${index.toString(16)}`))).toBe(10);
  expect(told(["2001:db8:1:2:ffff:0:0:1", "2001:0db8:0001:0002::"])).toBe(1);
  expect(told(times(50, (index) => `2001:db8:1:${index.toString(16)}::1`))).toBe(49);
  expect(told(times(500, (index) => `10.0.${Math.floor(index / 250)}.${index % 250}`))).toBe(
    100 - 10 - 1 - 49,
  );
});

test("a request without a token is no try", async () => {
  const { api, client, store } = await testApi();
  for (let tries = 0; tries < 20; tries++) {
    const headers: Record<string, string> = tries % 2 === 0 ? {} : { authorization: localToken };
    const answer = await ask(`${api}/api/v1/runs`, { headers });
    expect(answer.status).toBe(401);
    expect(answer.headers["www-authenticate"]).toBe("Bearer");
  }
  expect(store.auditEntries(10)).toEqual([]);
  await expect(client("wrong").runs({})).rejects.toEqual(isRefused("not-allowed"));
});

test("when a token was last used is written once a minute at most, and a full disk keeps nobody out", async () => {
  const touched: string[] = [];
  let full = false;
  const record = { id: "1", name: "x", scopes: ["read"], createdAt: "", expiresAt: undefined } as const;
  let lastUsedAt: string | undefined;
  let now = startOfTime;
  const { judge } = createAccess({
    store: {
      tokenOfHash: () => ({ ...record, lastUsedAt }),
      touchToken(_id, at) {
        if (full) throw new Failure("disk-full", "The disk is full.");
        touched.push(at);
        lastUsedAt = at;
      },
    },
    localToken,
    now: () => new Date(now),
  });
  const use = () => judge("bearer abc", "127.0.0.1").kind;
  for (const after of [0, 1, 59_998, 1, 30_000]) {
    now += after;
    expect(use()).toBe("known");
  }
  expect(touched).toEqual(["2026-11-25T12:00:00.000Z", "2026-11-25T12:01:00.000Z"]);
  full = true;
  now += 60_000;
  expect(use()).toBe("known");
});

test("every change, every reading of secrets and every refused token is in the audit log, and no value is", async () => {
  const canary = "c4n4ry";
  const { client, store, token } = await testApi({
    deploy: async () => ({ runId: "1" }),
    deleteDeployment: () => Promise.reject(new Failure("disk-full", "The disk is full.")),
    createSecret: async (group, name) => ({
      group,
      name,
      version: 1,
      keys: [],
      createdAt: "",
      updatedAt: "",
    }),
    readSecrets: async () => [],
    runs: async () => [],
  });
  const ci = client(token(["deploy"], { name: "ci" }));
  const url = `https://me:${canary}@forge.test/x`;
  const request = { url, branch: undefined, strict: false, startedBy: "command" };
  await ci.deploy(request, { sshKey: new SecretValue(canary), keep: false });
  await ci.deleteDeployment("x").catch(() => {});
  await ci.createSecret("prod", "db", { PASSWORD: new SecretValue(canary) });
  await ci.runs({});
  await ci.readSecrets({ group: "prod", name: "db" }).catch(() => {});
  await client().readSecrets({ group: "prod", name: "db" });
  await client(canary)
    .runs({})
    .catch(() => {});
  const log = store.auditEntries(100);
  expect(log.toReversed().map(({ who, what, on, result }) => [who, what, on, result].join(" | "))).toEqual([
    "ci (00000000) | deploy | https://forge.test/x | done",
    "ci (00000000) | delete deployment | deployment x | disk-full",
    "ci (00000000) | create secret | secret prod/db | done",
    "ci (00000000) | refused token | POST /api/v1/secrets/reveal | not-allowed",
    "this machine | read secrets | secret prod/db | done",
    "unknown | refused token | GET /api/v1/runs | not-allowed",
  ]);
  expect(new Set(log.map(({ at, from }) => `${at} ${from}`))).toEqual(
    new Set(["2026-11-25T12:00:00.000Z 127.0.0.1"]),
  );
  expect(JSON.stringify(log)).not.toContain(canary);
});

test("what was to be deleted and was not there is in the audit log as that, and as done when it was", async () => {
  for (const [found, result] of [
    [false, "not-found"],
    [true, "done"],
  ] as const) {
    const { client, store } = await testApi({
      deleteDeployment: async () => ({ found }),
      deleteJob: async () => ({ found }),
      deleteCronjob: async () => ({ found }),
      deleteSecret: async () => ({ found }),
      deleteSecretGroup: async () => (found ? ["db"] : []),
    });
    const one = client();
    await one.deleteDeployment("x");
    await one.deleteJob("x");
    await one.deleteCronjob("x");
    await one.deleteSecret("g", "x");
    await one.deleteSecretGroup("g");
    if (!found) await one.revokeToken("00000000");
    const entries = store.auditEntries(10);
    expect(entries.map((entry) => entry.result)).toEqual(entries.map(() => result));
    expect(entries).toHaveLength(found ? 5 : 6);
  }
});

test("a secret is not let out when that can't be recorded; what was done already is told", async () => {
  const full = () => {
    throw new Failure("disk-full", "The disk is full.");
  };
  const operations = {
    readSecrets: async () => [
      {
        group: "a",
        name: "b",
        version: 1,
        keys: [],
        createdAt: "",
        updatedAt: "",
        data: { K: new SecretValue("c4n4ry") },
      },
    ],
    deleteDeployment: async () => ({ found: true }),
  };
  const { store } = await testApi();
  const { api, client, log } = await testApi(operations, { access: { ...store, addAuditEntry: full } });
  const headers = bearing(localToken);
  const answer = await ask(`${api}/api/v1/secrets/reveal`, { method: "POST", headers, body: { group: "a" } });
  expect(answer.status).toBe(422);
  expect(answer.body).not.toContain("c4n4ry");
  expect(await client().deleteDeployment("x")).toEqual({ found: true });
  expect(log.at(-1)).toMatch(
    /audit log .*disk is full.*: this machine from 127.0.0.1: delete deployment deployment x: done/,
  );
});

test("who looks after the server can have the key rotated, and sees in the audit log that it was", async () => {
  const { client, store } = await testApi(
    {},
    { admin: testAdmin({ rotateKey: async () => ({ secrets: 3, formerKeyFile: "k" }) }) },
  );
  expect(await client().rotateKey()).toEqual({ secrets: 3, formerKeyFile: "k" });
  expect(store.auditEntries(1)).toMatchObject([{ what: "rotate key", on: "secrets", result: "done" }]);
});
