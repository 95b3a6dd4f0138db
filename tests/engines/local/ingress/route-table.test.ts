import { expect, test } from "vitest";
import { createRouteTable, originForm } from "../../../../src/engines/local/ingress/route-table.ts";
import { routeTo } from "./support/routes.ts";

const open = routeTo([]);
const closed = routeTo([], { stage: "stage-4", rawStage: "stage_4", ingress: false });
const table = createRouteTable([open, closed]);

const reached: readonly (readonly [asked: string, target: string, prefix: string])[] = [
  ["/shop/stage-1/v1/predict", "/v1/predict", "/shop/stage-1"],
  ["/shop/stage_1/v1/predict", "/v1/predict", "/shop/stage_1"],
  ["/shop//stage-1/v1/predict", "/v1/predict", "/shop/stage-1"],
  ["///shop/stage-1//v1///predict/", "/v1/predict/", "/shop/stage-1"],
  ["/shop/stage-1", "/", "/shop/stage-1"],
  ["/shop/stage-1/", "/", "/shop/stage-1"],
  ["/shop/stage-1?a=//b&c=%2F%2f", "/?a=//b&c=%2F%2f", "/shop/stage-1"],
  ["/shop/stage-1/a%2Fb/%2e%2e/c", "/a%2Fb/%2e%2e/c", "/shop/stage-1"],
  ["/shop/stage-1/a?next=/shop//x?y#z", "/a?next=/shop//x?y#z", "/shop/stage-1"],
  ["http://elsewhere:99/shop/stage-1/a", "/a", "/shop/stage-1"],
];

test.each(reached)("%s asks the service for %s", (asked, target, prefix) => {
  expect(table.ofPublic(asked)).toEqual({ kind: "service", key: "shop/stage_1", target, prefix });
});

const unknown: readonly (readonly [asked: string, problem: string])[] = [
  ["/", 'A service is found at /NAMESPACE/STAGE/, and the path is "/".'],
  ["/shop", 'A service is found at /NAMESPACE/STAGE/, and the path is "/shop".'],
  ["*", 'A service is found at /NAMESPACE/STAGE/, and the path is "*".'],
  ["/zoo/stage-1/", 'There is no service in a namespace "zoo".'],
  ["/shop/stage-2/", 'There is no service "stage-2" in the namespace "shop".'],
  ["/shop/stage%2D1/", 'There is no service "stage%2D1" in the namespace "shop".'],
  [
    "/shop/stage-4/",
    'The service "stage-4" of the namespace "shop" is not open to the outside (ingress: false).',
  ],
  ["/__proto__/stage-1/", 'There is no service in a namespace "__proto__".'],
];

test.each(unknown)("%s goes nowhere, and the answer says why", (asked, problem) => {
  expect(table.ofPublic(asked)).toEqual({ kind: "unknown", problem });
});

test("a service has the path of its sanitised name, also when that is another one's raw name", () => {
  const other = routeTo([], { stage: "x-1", rawStage: "stage-1" });
  for (const routes of [
    [open, other],
    [other, open],
  ]) {
    expect(createRouteTable(routes).ofPublic("/shop/stage-1/")).toMatchObject({ key: "shop/stage_1" });
  }
});

test("a namespace is reached by its sanitised name too", () => {
  const routes = createRouteTable([routeTo([], { namespace: "my_shop" })]);
  expect(routes.ofPublic("/my-shop/stage-1/")).toMatchObject({ prefix: "/my-shop/stage-1" });
  expect(routes.ofPublic("/my_shop/stage-1/")).toMatchObject({ prefix: "/my_shop/stage-1" });
});

test("a service is found by its stable address", () => {
  expect(table.ofAddress(closed.address)).toBe("shop/stage_4");
  expect(table.ofAddress({ host: "127.0.0.1", port: 1 })).toBeUndefined();
});

test("a target for proxies counts by its path", () => {
  expect(originForm("http://a:1/b//c?d")).toBe("/b//c?d");
  expect(originForm("https://a?d")).toBe("/?d");
  expect(originForm("/http://a/b")).toBe("/http://a/b");
});
