import { expect, test } from "vitest";
import type { EngineChoice } from "../../src/core/choose-engine.ts";
import { elsewhere, shownInstead } from "../../src/core/other-engine.ts";

const local: EngineChoice = { engine: "local", why: "" };
const server: EngineChoice = { engine: "server", url: "https://s.test", why: "" };

test("who looks at a server is told what this machine's own engine holds", () => {
  const told = elsewhere({ chosen: server, localDeployments: 2, login: undefined });
  expect(told).toBe("Not shown: this machine's own engine holds 2 deployments. See with --engine local");
  expect(elsewhere({ chosen: server, localDeployments: 1, login: undefined })).toContain("1 deployment.");
});

test("who looks at this machine is told of the server that he is logged in to", () => {
  const told = elsewhere({ chosen: local, localDeployments: 2, login: "https://s.test" });
  expect(told).toBe("Not shown is what the server https://s.test holds: see it with --server https://s.test");
});

test("nothing is told where nothing is known of another engine", () => {
  expect(elsewhere({ chosen: local, localDeployments: 2, login: undefined })).toBeUndefined();
  expect(elsewhere({ chosen: server, localDeployments: 0, login: "https://s.test" })).toBeUndefined();
});

test("who looks at a cluster is told what this machine's own engine holds, too", () => {
  const kubernetes: EngineChoice = { engine: "kubernetes", why: "--engine is kubernetes" };
  expect(shownInstead(kubernetes)).toBeUndefined();
  expect(elsewhere({ chosen: kubernetes, localDeployments: 2, login: undefined })).toBe(
    "Not shown: this machine's own engine holds 2 deployments. See with --engine local",
  );
});

test("who looks where no engine may be chosen is told that, and nothing is said to be left out", () => {
  const none: EngineChoice = { engine: "none", why: "this is a CI job", hint: "" };
  expect(shownInstead(none)).toBe(
    "Shown is this machine's own engine, for none could be chosen: this is a CI job.",
  );
  expect(elsewhere({ chosen: none, localDeployments: 2, login: undefined })).toBeUndefined();
  for (const chosen of [local, server]) expect(shownInstead(chosen)).toBeUndefined();
});
