import { expect, test } from "vitest";
import { parseRepositoryUrl } from "../../src/git/repository-url.ts";
import { hashOfToken } from "../../src/operations/access-tokens.ts";
import { ask, bearing, localToken, testApi } from "./support/test-api.ts";

const canary = "c4n4ry-Zq";

/** Asks for a deployment of each and gives what the audit log has of them, oldest first. */
async function audited(urls: readonly string[]): Promise<readonly string[]> {
  const { api, store } = await testApi({
    async deploy({ url }) {
      parseRepositoryUrl(url, []);
      return { runId: "1" };
    },
  });
  for (const url of urls) {
    const headers = bearing(localToken);
    await ask(`${api}/api/v1/runs`, { method: "POST", headers, body: { request: { url } } });
  }
  const entries = store.auditEntries(100).toReversed();
  expect(entries).toHaveLength(urls.length);
  return entries.map(({ on }) => on);
}

test("of an address that can't be used nothing is in the audit log that may be a password", async () => {
  const on = await audited([
    `https://me:${canary}@host.test/x`,
    `https://me:p/${canary}@host.test/x`,
    `https://host.test/x?private_token=${canary}`,
    `https://host.test/x#${canary}`,
    `https:/me:${canary}@host.test/x`,
    `https:me:${canary}@host.test/x`,
    `https:\\\\me:${canary}@host.test/x`,
    `//me:${canary}@host.test/x`,
    `me:${canary}@host.test/x`,
    `https://me:${canary}?@host.test/x`,
    `ssh://git:${canary}@host.test/x`,
    `ext::sh -c ${canary}`,
  ]);
  expect(on.join("\n")).not.toContain(canary);
  expect(on[0]).toBe("https://host.test/x");
});

test("an address that can be used is in the audit log as it is", async () => {
  const urls = [
    "https://host.test:8443/a/@b/c.git",
    "https://[::1]/x",
    "ssh://git@host.test:22/~me/x",
    "ssh://[::1]/x",
    "git@host.test:me/x.git",
    "file:///srv/git/x.git",
  ];
  expect(await audited(urls)).toEqual(urls);
});

test("a token that is given in place of its id is not in the audit log", async () => {
  const { client, store, token } = await testApi();
  const given = token(["read"]);
  expect(await client().revokeToken(given)).toEqual({ found: false });
  expect(store.tokenOfHash(hashOfToken(given))?.id).toBe("00000000");
  expect(await client().revokeToken("00000000")).toEqual({ found: true });
  expect(store.auditEntries(2).map(({ on }) => on)).toEqual(["token 00000000", "no id of a token"]);
});

test.each(["/api/v1/runs/%ff", "/api/v1/runs/%", `/api/v1/runs/${"x".repeat(2_000)}`])(
  "a path that nobody can make sense of is a usage failure: %#",
  async (path) => {
    const { api } = await testApi();
    const { status, body, headers } = await ask(api + path, { headers: bearing(localToken) });
    expect(status).toBe(422);
    expect(JSON.parse(body)).toMatchObject({ error: { code: "usage" } });
    expect(body.length).toBeLessThan(3_000);
    expect(headers["bodywork-version"]).toBe("4.1.0");
  },
);

test("of a hundred thousand mistakes in a request the first are told", async () => {
  const { api } = await testApi();
  const body = Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`key${index}`, 1]));
  const answer = await ask(`${api}/api/v1/secrets`, { method: "POST", headers: bearing(localToken), body });
  expect(answer.status).toBe(422);
  expect(answer.body).toContain("body/group");
  expect(answer.body.length).toBeLessThan(3_000);
});
