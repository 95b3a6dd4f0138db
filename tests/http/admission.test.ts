import { expect, test } from "vitest";
import { hostOf, isCrossOrigin, isOurHost } from "../../src/http/admission.ts";
import { ask, bearing, localToken, testApi } from "./support/test-api.ts";

type Answer = 200 | 403 | 421;

const own = "http://HOST";
const foreign = "https://evil.test";

/**
 * Method, Host, Origin, Sec-Fetch-Site → the answer. `HOST` is where the server listens; the server is called
 * `bodywork.example.com` too. GET asks how it is; PUT moves the ingress.
 */
const matrix: readonly (readonly ["GET" | "PUT", string, string, string, Answer])[] = [
  // No browser.
  ["GET", "HOST", "", "", 200],
  ["PUT", "HOST", "", "", 200],
  ["GET", "localhost:PORT", "", "", 200],
  ["PUT", "localhost:PORT", "", "", 200],
  ["PUT", "[::1]:PORT", "", "", 200],
  ["GET", "bodywork.example.com", "", "", 200],
  ["PUT", "bodywork.example.com:8443", "", "", 200],
  ["PUT", "BODYWORK.example.com", "", "", 200],
  // A name that is not ours: a page whose name was made to lead here.
  ["GET", "evil.test", "", "", 421],
  ["PUT", "evil.test", "", "", 421],
  ["GET", "evil.test:PORT", "", "same-origin", 421],
  ["PUT", "evil.test:PORT", "http://evil.test:PORT", "same-origin", 421],
  ["PUT", "127.0.0.1.evil.test", "", "", 421],
  ["PUT", "localhost.evil.test", "", "", 421],
  ["PUT", "evil-bodywork.example.com", "", "", 421],
  ["PUT", "bodywork.example.com.evil.test", "", "", 421],
  ["PUT", "localhost.", "", "", 421],
  ["PUT", "0.0.0.0:PORT", "", "", 421],
  ["PUT", ".", "", "", 421],
  ["PUT", "HOST@evil.test", "", "", 421],
  ["PUT", "evil.test#HOST", "", "", 421],
  // A browser that says which site asks.
  ["GET", "HOST", "", "cross-site", 200],
  ["GET", "HOST", foreign, "cross-site", 200],
  ["PUT", "HOST", "", "cross-site", 403],
  ["PUT", "HOST", foreign, "cross-site", 403],
  ["PUT", "HOST", own, "cross-site", 403],
  ["PUT", "HOST", "", "same-site", 403],
  ["PUT", "HOST", foreign, "same-site", 403],
  ["PUT", "HOST", own, "same-origin", 200],
  ["PUT", "HOST", "", "same-origin", 200],
  ["PUT", "HOST", "", "none", 200],
  ["PUT", "HOST", "", "nonsense", 403],
  // An older one, which says only where the page is from.
  ["GET", "HOST", foreign, "", 200],
  ["PUT", "HOST", foreign, "", 403],
  ["PUT", "HOST", own, "", 200],
  ["PUT", "HOST", "https://HOST", "", 200],
  ["PUT", "HOST", "http://127.0.0.1:1", "", 403],
  ["PUT", "HOST", "null", "", 403],
  ["PUT", "HOST", "HOST", "", 403],
  ["PUT", "bodywork.example.com", "https://bodywork.example.com", "", 200],
  ["PUT", "bodywork.example.com", foreign, "", 403],
];

test(`${matrix.length} requests of browsers and others are judged by name, page and site`, async () => {
  const { api, told } = await testApi({}, { hosts: ["bodywork.example.com"] });
  const { host, port } = new URL(api);
  const filled = (text: string): string => text.replace("HOST", host).replace("PORT", port);
  for (const [method, name, origin, site, expected] of matrix) {
    const answer = await ask(`${api}/api/v1/server${method === "PUT" ? "/listen" : ""}`, {
      method,
      headers: {
        ...bearing(localToken),
        host: filled(name),
        ...(origin === "" ? {} : { origin: filled(origin) }),
        ...(site === "" ? {} : { "sec-fetch-site": site }),
      },
      ...(method === "PUT" ? { body: { listen: "x" } } : {}),
    });
    expect(answer.status, [method, name, origin, site].join(" | ")).toBe(expected);
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
  }
  const moved = matrix.filter(([method, , , , expected]) => method === "PUT" && expected === 200);
  expect(told).toHaveLength(moved.length);
});

test.each([
  [
    "a name that begins with ours",
    (host: string, _origin: string) => /^(HOST|localhost|bodywork)/.test(host),
  ],
  ["a name that ends with ours", (host: string) => /(HOST|localhost|example\.com)(:\w+)?$/.test(host)],
  ["a page that names the server", (host: string, origin: string) => origin === "" || origin.includes(host)],
  ["the site alone", (_host: string, _origin: string, site: string) => site !== "cross-site"],
])("the matrix tells the rules from a simpler one: %s", (_, letsIn) => {
  const differs = matrix.filter(
    ([method, host, origin, site, expected]) =>
      method === "PUT" && letsIn(host, origin, site) !== (expected === 200),
  );
  expect(differs.length).toBeGreaterThan(0);
});

test("what is refused for its name or its page is refused before the token is looked at", async () => {
  const { api, store } = await testApi();
  const pages: readonly Readonly<Record<string, string>>[] = [
    { host: "evil.test" },
    { "sec-fetch-site": "cross-site" },
  ];
  for (const headers of pages) {
    for (let tries = 0; tries < 20; tries++) {
      const path = "/api/v1/server/stop";
      const answer = await ask(`${api}${path}`, { method: "POST", headers: { ...bearing("x"), ...headers } });
      expect(answer.status).toBeOneOf([421, 403]);
    }
  }
  expect(store.auditEntries(10)).toEqual([]);
});

test("a host is told without its port and in small letters", () => {
  expect(hostOf("Example.COM:80")).toBe("example.com");
  expect(hostOf("[::1]:80")).toBe("[::1]");
  expect(isOurHost(undefined, ["x"])).toBe(false);
  expect(isCrossOrigin({ method: "OPTIONS", host: "x", origin: "y", fetchSite: "cross-site" })).toBe(false);
});
