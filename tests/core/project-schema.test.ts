import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { projectJsonSchema } from "../../src/core/json-schema.ts";
import { kindKeys, loggingKeys, pipelineKeys, podKeys, stageKeys } from "../../src/core/project-schema.ts";
import { readYaml } from "../../src/core/yaml/read-yaml.ts";
import type { YamlValue } from "../../src/core/yaml/values.ts";
import { generate } from "../../tools/generators/project-file.ts";
import { accepts } from "./support/json-schema.ts";
import { batchStage, errorsOf, fileWith, type Written } from "./support/project-file.ts";

const root = dirname(dirname(import.meta.dirname));

test("the reference and the schema file are what the description makes", async () => {
  const generated = await generate();
  expect([...generated.keys()]).toEqual([
    "docs/reference/project-file.md",
    "docs/reference/bodywork.schema.json",
  ]);
  for (const [path, text] of generated) {
    expect(readFileSync(join(root, path), "utf8"), `${path}: run npm run generate`).toBe(text);
  }
});

test("the reference names every key, and tells how an editor finds the schema", async () => {
  const page = (await generate()).get("docs/reference/project-file.md") ?? "";
  const keys = [
    pipelineKeys,
    stageKeys("1.1"),
    kindKeys.batch,
    kindKeys.service,
    podKeys,
    loggingKeys,
  ].flatMap(Object.keys);
  expect(keys.length).toBeGreaterThan(25);
  for (const key of keys) expect(page).toContain(`| \`${key}\` |`);
  expect(page).toContain("# yaml-language-server: $schema=");
});

/** One change each, and what both must say of it. */
const cases: readonly (readonly [
  changes: Readonly<Record<string, Written>>,
  verdict: "valid" | "invalid",
])[] = [
  [{}, "valid"],
  [{ version: '"1.2"' }, "invalid"],
  [{ version: "1.1" }, "invalid"],
  [{ pipeline: undefined }, "invalid"],
  [{ logging: undefined }, "invalid"],
  [{ stages: "[]" }, "invalid"],
  [{ pipeline: "null" }, "invalid"],
  [{ "pipeline.name": undefined }, "invalid"],
  [{ "pipeline.name": "a_b" }, "invalid"],
  [{ "pipeline.name": '"a\\n"' }, "valid"],
  [{ "pipeline.name": "A.b-1" }, "valid"],
  [{ "pipeline.docker_image": "''" }, "valid"],
  [{ "pipeline.docker_image": "3" }, "invalid"],
  [{ "pipeline.usage_stats": "no" }, "valid"],
  [{ "pipeline.usage_stats": "'no'" }, "invalid"],
  [{ "pipeline.python": "'3.11'" }, "valid"],
  [{ "pipeline.python": "3.11" }, "invalid"],
  [{ "pipeline.python": "'4.0'" }, "invalid"],
  [{ "pipeline.anything": "null" }, "valid"],
  [{ "logging.log_level": "ERROR" }, "valid"],
  [{ "logging.log_level": "error" }, "invalid"],
  [{ "stages.measure.executable_module_path": "x.ipynb" }, "valid"],
  [{ "stages.measure.executable_module_path": "x.r" }, "invalid"],
  [{ "stages.measure.args": "[a, b]" }, "valid"],
  [{ "stages.measure.args": "[1]" }, "invalid"],
  [{ "stages.measure.args": "a" }, "invalid"],
  [{ "stages.measure.args": "null" }, "invalid"],
  [{ "stages.measure.cpu_request": "yes" }, "valid"],
  [{ "stages.measure.cpu_request": "-1" }, "invalid"],
  [{ "stages.measure.cpu_request": "1e-1" }, "invalid"],
  [{ "stages.measure.memory_request_mb": "1:30" }, "valid"],
  [{ "stages.measure.memory_request_mb": "1.5" }, "invalid"],
  [{ "stages.measure.memory_request_mb": undefined }, "invalid"],
  [{ "stages.measure.secrets": "{A: b-c}" }, "valid"],
  [{ "stages.measure.secrets": "{A: b_c}" }, "invalid"],
  [{ "stages.measure.secrets": "{A: 1}" }, "invalid"],
  [{ "stages.measure.requirements_file": "/x" }, "invalid"],
  [{ "stages.measure.outputs": "{m: m.bin}" }, "valid"],
  [{ "stages.measure.outputs": "{m.n: m.bin}" }, "invalid"],
  [{ "stages.forecast.outputs": "{m: m.bin}" }, "invalid"],
  [{ "stages.forecast.outputs": "{}" }, "valid"],
  [{ "stages.measure.outputs": "{m: x}", "stages.forecast.inputs": "{m: measure.m}" }, "valid"],
  [
    { "stages.measure.outputs": "{m: x}", "stages.forecast.inputs": "{m: {from: measure.m, path: y}}" },
    "valid",
  ],
  [{ "stages.measure.outputs": "{m: x}", "stages.forecast.inputs": "{m: {path: y}}" }, "invalid"],
  [{ "stages.forecast.inputs": "{m: nodot}" }, "invalid"],
  [{ "stages.forecast.needs": "[measure]" }, "valid"],
  [{ "stages.forecast.needs": "measure" }, "invalid"],
  [{ "stages.measure.batch": undefined }, "invalid"],
  [{ "stages.measure.service": "{}" }, "invalid"],
  [{ "stages.measure.batch": "null" }, "invalid"],
  [{ "stages.measure.batch.retries": "-1" }, "invalid"],
  [{ "stages.measure.batch.retries": "true" }, "valid"],
  [{ "stages.measure.batch.memory_limit_mb": "0" }, "invalid"],
  [{ "stages.forecast.service.memory_limit_mb": "500" }, "valid"],
  [{ "stages.measure.cpu_limit": "0.1" }, "valid"],
  [{ "stages.measure.cpu_limit": "0" }, "invalid"],
  [{ "stages.measure.cpu_limit": "-1" }, "invalid"],
  [{ "stages.measure.gpu_request": "1" }, "valid"],
  [{ "stages.measure.gpu_request": "0.5" }, "invalid"],
  [{ "stages.measure.kubernetes": "{}" }, "valid"],
  [{ "stages.measure.kubernetes": "[]" }, "invalid"],
  [{ "stages.measure.kubernetes.node_selector": "{a: b}" }, "valid"],
  [{ "stages.measure.kubernetes.node_selector": "{a: 1}" }, "invalid"],
  [{ "stages.measure.kubernetes.tolerations": "[{key: a, tolerationSeconds: 3}]" }, "valid"],
  [{ "stages.measure.kubernetes.tolerations": "[a]" }, "invalid"],
  [{ "stages.measure.kubernetes.extra": "{a: [{b: null}, 1.5, yes]}" }, "valid"],
  [{ "stages.measure.kubernetes.extra": "[a]" }, "invalid"],
  [{ "pipeline.kubernetes.image_pull_secrets": "[our-registry]" }, "valid"],
  [{ "pipeline.kubernetes.image_pull_secrets": "our-registry" }, "invalid"],
  [{ "pipeline.kubernetes.service_account_token": "yes" }, "valid"],
  [{ "pipeline.kubernetes.service_account_token": "1" }, "invalid"],
  [{ "pipeline.kubernetes.security": "restricted" }, "valid"],
  [{ "pipeline.kubernetes.security": "privileged" }, "invalid"],
  [{ "pipeline.kubernetes.more": "1" }, "valid"],
  [{ "stages.forecast.service.port": "'80'" }, "invalid"],
  [{ "stages.forecast.service.ingress": "1" }, "invalid"],
  [{ "stages.forecast.service.health_path": "/a" }, "valid"],
  [{ "stages.forecast.service.health_path": "a" }, "invalid"],
  [{ "stages.spare": "{}" }, "invalid"],
  [{ "stages.spare": "5" }, "invalid"],
  [{ "stages.spare": batchStage() }, "valid"],
];

test.each(cases)("the schema and the validator agree about %j: %s", (changes, verdict) => {
  const text = fileWith(changes);
  expect(errorsOf(text).length === 0 ? "valid" : "invalid").toBe(verdict);
  expect(accepts(projectJsonSchema(), asJson(text)) ? "valid" : "invalid").toBe(verdict);
});

test.each([
  [{}, "valid"],
  [{ "stages.measure.executable_module_path": "x.ipynb" }, "invalid"],
  [{ "pipeline.name": undefined }, "invalid"],
] as const)("they agree about files of schema 1.0, too: %j", (changes, verdict) => {
  const text = fileWith({ version: '"1.0"', ...changes }).replace(/^pipeline:/m, "project:");
  expect(errorsOf(text).length === 0 ? "valid" : "invalid").toBe(verdict);
  expect(accepts(projectJsonSchema(), asJson(text)) ? "valid" : "invalid").toBe(verdict);
});

test("a file of one schema with the section of the other is refused by both", () => {
  const text = fileWith({ version: '"1.0"' });
  expect(errorsOf(text)).toHaveLength(1);
  expect(accepts(projectJsonSchema(), asJson(text))).toBe(false);
});

test("the comparison notices a schema that leaves something out", () => {
  const weaker = { ...projectJsonSchema(), properties: {} };
  expect(accepts(weaker, asJson(fileWith({ "pipeline.name": "a_b" })))).toBe(true);
  expect(() => accepts({ unheardOf: 1 }, {})).toThrow("does not know");
});

function asJson(text: string): unknown {
  const read = readYaml(text);
  if (!read.ok || read.value === undefined) throw new Error("no YAML");
  return plain(read.value);
}

function plain(value: YamlValue): unknown {
  switch (value.kind) {
    case "null":
      return null;
    case "list":
      return value.items.map(plain);
    case "map":
      return Object.fromEntries(
        value.entries.map(({ key, value: inner }) => [
          String(key.kind === "null" ? null : key.value),
          plain(inner),
        ]),
      );
    case "set":
      throw new Error("JSON has no sets");
    default:
      return value.value;
  }
}
