import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

import { programName, programObject } from "../../../../src/engines/kubernetes/pod/program.ts";
import { uvVersion } from "../../../../src/environments/find-uv.ts";

const data = programObject("shop").data as Readonly<Record<string, string>>;

test("the program is a ConfigMap that never changes, named by what it holds", () => {
  expect(programObject("shop")).toMatchObject({
    apiVersion: "v1",
    kind: "ConfigMap",
    immutable: true,
    metadata: {
      name: programName(),
      namespace: "shop",
      labels: { app: "bodywork", "app.kubernetes.io/managed-by": "bodywork", "bodywork.io/part": "program" },
    },
  });
  expect(programName()).toMatch(/^bodywork-program-[0-9a-f]{16}$/);
  expect(programObject("other").metadata.name).toBe(programName());
});

test("it holds all that a pod needs, notebooks too, and fits into a ConfigMap", () => {
  expect(Object.keys(data).sort()).toEqual(["mask_log.py", "run_notebook.py", "run_stage.py", "start.sh"]);
  expect(Buffer.byteLength(JSON.stringify(data))).toBeLessThan(500_000);
});

test.each(["mask_log.py", "run_notebook.py"])("%s is the same as on this machine", (name) => {
  const local = new URL(`../../../../src/engines/local/${name}`, import.meta.url);
  expect(data[name]).toBe(readFileSync(local, "utf8"));
});

test("pods install the same uv as the local engine", () => {
  expect(data["run_stage.py"]).toContain(`\nUV_VERSION = "${uvVersion}"\n`);
});
