import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Finding } from "../../src/core/doctor.ts";
import { type Bodywork, bodywork, bodyworkOf } from "../support/bodywork.ts";

/** What the doctor says of one thing, and how it exits. */
async function diagnosis(
  tool: Bodywork,
  what: string,
): Promise<Partial<Finding> & { readonly exitCode: number | undefined }> {
  const { exitCode, stdout, stderr } = await tool.run("doctor", "--output", "json");
  if (stdout === "") throw new Error(stderr);
  const findings: readonly Finding[] = JSON.parse(stdout);
  return { ...findings.find((finding) => finding.what === what), exitCode };
}

test("where a deployment would be refused or go elsewhere the doctor says so, as create does", async () => {
  const tool = bodywork();
  const create = ["create", "deployment", "file:///no/such/repository"];
  for (const [variables, found] of [
    [{ BODYWORK_ENGINE: "", CI: "true" }, /^none can be chosen: .*CI/],
    [{ BODYWORK_ENGINE: "local", BODYWORK_SERVER: "https://b.test" }, /^none can be chosen/],
  ] as const) {
    const there = bodyworkOf(tool.home, variables);
    expect(await diagnosis(there, "engine")).toMatchObject({
      exitCode: 1,
      level: "problem",
      found: expect.stringMatching(found),
    });
    expect((await there.run(...create)).stderr).not.toContain("engine: local");
  }
  const remote = bodyworkOf(tool.home, {
    ...{ BODYWORK_ENGINE: "", BODYWORK_SERVER: "http://127.0.0.1:1", BODYWORK_TOKEN: "bw_x" },
  });
  expect(await diagnosis(remote, "engine")).toMatchObject({
    level: "ok",
    found: "the server http://127.0.0.1:1: BODYWORK_SERVER names it",
  });
  expect(await diagnosis(tool, "engine")).toMatchObject({ level: "ok" });
}, 60_000);

test("settings that can't be read are a problem of theirs: the doctor tells all else, and the server can be asked and stopped", async () => {
  const tool = bodywork();
  expect((await tool.run("server", "start")).exitCode).toBe(0);
  const file = join(tool.home, "settings.yaml");
  writeFileSync(file, "listen: nowhere\nengin: local\n", { mode: 0o600 });
  const { found = "", ...settings } = await diagnosis(tool, "settings");
  expect(settings).toMatchObject({ exitCode: 1, level: "problem" });
  expect(found).toMatch(/Cannot use the settings .*listen: must be HOST:PORT.*engin/);
  expect(await diagnosis(tool, "server")).toMatchObject({ level: "ok" });
  expect((await tool.run("server", "status")).stdout).toMatch(/^running +True$/m);
  expect((await tool.run("server", "stop")).exitCode).toBe(0);
  expect((await tool.run("server", "status")).stdout).toMatch(/^running +False$/m);
  const refused = await tool.run("create", "deployment", "file:///no/such/repository");
  expect(refused.exitCode).toBe(2);
  expect(refused.stderr).toContain("Cannot use the settings");
  rmSync(file);
}, 60_000);

test("a master key that is gone is a problem while secrets are sealed with it, and none when it is back", async () => {
  const tool = bodywork();
  mkdirSync(tool.home, { mode: 0o700 });
  expect(await diagnosis(tool, "secrets")).toMatchObject({ level: "ok", found: "none yet" });
  const created = await tool.run("create", "secret", "db", "--group", "dev", "--data", "USER=me");
  expect(created.exitCode, created.stderr).toBe(0);
  const key = join(tool.home, "keys", "master.key");
  expect(await diagnosis(tool, "secrets")).toMatchObject({ level: "ok" });
  renameSync(key, `${key}.elsewhere`);
  expect(await diagnosis(tool, "secrets")).toMatchObject({
    exitCode: 1,
    level: "problem",
    found: expect.stringContaining("is not to be found"),
  });
  renameSync(`${key}.elsewhere`, key);
  expect(await diagnosis(tool, "secrets")).toMatchObject({ level: "ok" });
}, 60_000);
