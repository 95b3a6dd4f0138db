import { expect, test } from "vitest";
import type { Release } from "../../src/core/run-state.ts";
import { withAdopted } from "../../src/operations/adopted-deployments.ts";
import { openStore } from "../../src/store/sqlite-store.ts";
import { aService } from "../cli/support/records.ts";
import { world } from "../support/operations-harness.ts";
import { batchStage, batchTask } from "../support/tasks.ts";

const aRelease: Release = {
  ...{ namespace: "shop", deployment: "shop", number: 1, runId: "run-1" },
  ...{ createdAt: "2026-11-25T12:00:00.000Z", environments: {}, outputs: {}, services: [] },
  commit: batchTask(batchStage("train")).commit,
};

test("deployments that the record knows nothing of are those of the services that are there, once each", () => {
  const { storeFile } = world();
  const store = openStore(storeFile);
  const services = [
    {
      ...aService(),
      namespace: "shop",
      deployment: "shop",
      stage: "a",
      gitUrl: "https://forge.test/me/shop",
    },
    {
      ...aService(),
      namespace: "shop",
      deployment: "shop",
      stage: "b",
      gitUrl: "https://forge.test/me/shop",
    },
  ];
  const adopted = withAdopted(store, () => services);
  expect(adopted.deployments().map(({ name, gitUrl, liveRelease }) => [name, gitUrl, liveRelease])).toEqual([
    ["shop", "https://forge.test/me/shop", undefined],
  ]);
  expect(adopted.deployment("shop", "shop")?.gitUrl).toBe("https://forge.test/me/shop");
  expect(adopted.deployment("shop", "other")).toBeUndefined();
  expect(adopted.services()).toBe(services);
  store.close();
});

test("what is on record is told as it is recorded", () => {
  const { storeFile } = world();
  const store = openStore(storeFile);
  const recorded = { namespace: "shop", name: "shop", gitUrl: "https://forge.test/x", branch: "main" };
  store.saveRelease(aRelease, { ...recorded, liveRelease: 1, updatedAt: aRelease.createdAt });
  const services = [{ ...aService(), namespace: "shop", deployment: "shop" }];
  expect(withAdopted(store, () => services).deployments()).toEqual(store.deployments());
  store.close();
});
